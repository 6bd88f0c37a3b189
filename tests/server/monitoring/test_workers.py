"""A service that is ended by a signal loses nothing, with one worker process and with four."""

import asyncio
import gzip
import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.server.monitoring.monitoring_support import request_bytes

REQUESTS = 1_000


class Sink(ThreadingHTTPServer):
    """A Loki that remembers the paths of the lines it was pushed."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        super().__init__(("127.0.0.1", 0), _Pushes)


class _Pushes(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Sink

    def do_POST(self) -> None:
        body = json.loads(gzip.decompress(self.rfile.read(int(self.headers["Content-Length"]))))
        lines = [json.loads(line) for stream in body["streams"] for _, line in stream["values"]]
        self.server.paths.extend(line["path"] for line in lines)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


async def ask(port: int, first: int, count: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for number in range(first, first + count):
        writer.write(request_bytes("GET", f"/items/{number}", close=number == first + count - 1))
    answers = await reader.read()
    assert answers.count(b"200 OK") == count
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("workers", [1, 4])
async def test_sigterm_loses_no_record(sink: Sink, workers: int) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "uvicorn", "tests.server.monitoring.worker_app:app", "--log-level", "critical",
            "--fd", str(listener.fileno()), "--workers", str(workers), "--app-dir", str(Path(__file__).parents[3]),
            env={**os.environ, "LOKI_URL": f"http://127.0.0.1:{sink.server_port}"}, pass_fds=[listener.fileno()],
        )  # fmt: skip
        port = listener.getsockname()[1]
        # Connections wait in the socket's backlog until a worker takes them.
        await asyncio.gather(*(ask(port, first, 100) for first in range(0, REQUESTS, 100)))
        process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), 20)
    assert sorted(sink.paths) == sorted(f"/items/{number}" for number in range(REQUESTS))
