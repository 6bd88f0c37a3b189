"""The share of its throughput that a FastAPI app keeps behind the middleware, shipping to a Loki on loopback.

    python -m bench.throughput_kept

One uvicorn worker each for the bare app, a BaseHTTPMiddleware no-op (the peer) and apimon; rounds are interleaved, and
the medians compared. wrk makes the requests (16 connections); without it on the PATH nothing is measured.
"""

import contextlib
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from fastapi import FastAPI

ROUNDS = 5
ROUND_S = 2
CONNECTIONS = 16
KINDS = ("bare", "basehttp", "apimon")


def make_app() -> FastAPI:
    """Return the app of one kind, which `BENCH_KIND` says; uvicorn's factory."""
    app = FastAPI()

    @app.get("/products/{product_id}")
    async def product(product_id: int) -> dict[str, object]:
        return {"id": product_id, "name": "AirPods Pro", "price": 8000}

    kind = os.environ["BENCH_KIND"]
    if kind == "basehttp":
        from bench.middleware_cost import BaseNoOp

        app.add_middleware(BaseNoOp)
    elif kind == "apimon":
        from apimon import LokiMonitoringMiddleware

        app.add_middleware(LokiMonitoringMiddleware, service_name="bench")
    return app


class _Sink(BaseHTTPRequestHandler):
    """Takes every push, and counts them."""

    protocol_version = "HTTP/1.1"
    pushes = 0

    def do_POST(self) -> None:
        """Read and acknowledge."""
        self.rfile.read(int(self.headers["Content-Length"]))
        type(self).pushes += 1
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def _serving(kind: str, loki_port: int) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "bench.throughput_kept:make_app", "--factory", "--port", str(port)]
    environment = {**os.environ, "BENCH_KIND": kind, "LOKI_URL": f"http://127.0.0.1:{loki_port}"}
    process = subprocess.Popen([*command, "--log-level", "error", "--no-access-log"], env=environment)
    try:
        _wait_for(port)
        yield f"http://127.0.0.1:{port}/products/3"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def _wait_for(port: int) -> None:
    for _ in range(400):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise TimeoutError(f"nothing listens on port {port}")


def _measure(url: str) -> tuple[float, float]:
    """Return requests per second and the 99th percentile in ms."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{ROUND_S}s", "--latency", url]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rate = re.search(r"Requests/sec:\s*([\d.]+)", output)
    p99 = re.search(r"99%\s*([\d.]+)(us|ms|s)", output)
    if rate is None or p99 is None:
        raise RuntimeError(output)
    return float(rate[1]), float(p99[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[p99[2]]


def main() -> None:
    """Print throughput and p99 of each kind, and the share that apimon keeps beside the peer's."""
    if shutil.which("wrk") is None:
        print("throughput_kept: wrk is not on the PATH, nothing was measured")
        return
    sink = ThreadingHTTPServer(("127.0.0.1", 0), _Sink)
    threading.Thread(target=sink.serve_forever, daemon=True).start()
    figures: dict[str, list[tuple[float, float]]] = {kind: [] for kind in KINDS}
    with contextlib.ExitStack() as stack:
        urls = {kind: stack.enter_context(_serving(kind, sink.server_port)) for kind in KINDS}
        for url in urls.values():
            _measure(url)
        for _ in range(ROUNDS):
            for kind, url in urls.items():
                figures[kind].append(_measure(url))
    sink.shutdown()
    sink.server_close()
    rates = {kind: statistics.median(rate for rate, _ in rounds) for kind, rounds in figures.items()}
    for kind, rounds in figures.items():
        p99_ms = statistics.median(p99 for _, p99 in rounds)
        print(f"{kind:9} {rates[kind]:8.0f} req/s   {rates[kind] / rates['bare']:6.1%} kept   p99 {p99_ms:.2f} ms")
    apimon, peer = rates["apimon"] / rates["bare"], rates["basehttp"] / rates["bare"]
    print(f"throughput_kept: apimon {apimon:.1%}, {apimon / peer:.2f} × a BaseHTTPMiddleware no-op ({peer:.1%})")


if __name__ == "__main__":
    main()
