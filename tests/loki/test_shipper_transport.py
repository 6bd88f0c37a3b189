"""Pushes over real sockets: the request, the kept connection, and answers of every kind."""

import base64
import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import BinaryIO

import pytest

from apimon.config import LokiSettings
from apimon.loki.shipper import HttpPushTransport
from apimon.loki.wire.push_encode import compress_push

BODY = compress_push(b'{"streams":[]}')
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


class RawServer:
    """Answers the n-th request with the n-th bytes; None closes the connection unanswered."""

    def __init__(self, *answers: bytes | None) -> None:
        self.answers = list(answers)
        self.requests: list[bytes] = []
        self.connections = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            with contextlib.suppress(OSError), connection, connection.makefile("rb") as reader:
                while self._answer(connection, reader):
                    pass

    def _answer(self, connection: socket.socket, reader: BinaryIO) -> bool:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = reader.readline()
            if not line:
                return False
            head += line
        length = int(head.lower().partition(b"content-length:")[2].split()[0])
        self.requests.append(head + reader.read(length))
        answer = self.answers.pop(0) if self.answers else NO_CONTENT
        if answer is None:
            return False
        connection.sendall(answer)
        return b"connection: close" not in answer.lower()


@pytest.fixture
def serve() -> Iterator["ServeAnswers"]:
    serving = ServeAnswers()
    yield serving
    serving.close()


class ServeAnswers:
    """Starts a server and a transport to it."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()

    def __call__(
        self, *answers: bytes | None, url: str = "http://127.0.0.1:{port}"
    ) -> tuple[RawServer, HttpPushTransport]:
        server = RawServer(*answers)
        self._stack.callback(server.close)
        transport = HttpPushTransport(LokiSettings(url=url.format(port=server.port)))
        self._stack.callback(transport.close)
        return server, transport

    def close(self) -> None:
        self._stack.close()


def test_push_is_a_gzipped_json_post_to_the_base_url(serve: ServeAnswers) -> None:
    server, transport = serve(url="http://user:p%40ss@127.0.0.1:{port}/loki-a/")
    assert transport.push(BODY, 5).status == 204
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /loki-a/loki/api/v1/push HTTP/1.1"
    assert body == BODY
    assert {
        b"Content-Type: application/json",
        b"Content-Encoding: gzip",
        b"Authorization: Basic " + base64.b64encode(b"user:p@ss"),
    } <= set(lines)


def test_connection_is_kept(serve: ServeAnswers) -> None:
    server, transport = serve(NO_CONTENT, b"HTTP/1.1 429 Slow\r\nContent-Length: 4\r\nRetry-After: 3\r\n\r\nslow")
    transport.push(BODY, 5)
    answer = transport.push(BODY, 5)
    assert (answer.status, answer.body, answer.retry_after_s) == (429, "slow", 3)
    assert server.connections == 1


def test_connection_that_the_server_closes_is_not_used_again(serve: ServeAnswers) -> None:
    server, transport = serve(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
    assert transport.push(BODY, 5).status == 204
    assert transport.push(BODY, 5).status == 204
    assert server.connections == 2


def test_kept_connection_found_closed_is_replaced_at_once(serve: ServeAnswers) -> None:
    server, transport = serve(NO_CONTENT, None, NO_CONTENT)
    transport.push(BODY, 5)
    assert transport.push(BODY, 5).status == 204
    assert server.connections == 2


@pytest.mark.parametrize("answer", [None, b"garbage\r\n\r\n", b"HTTP/1.1 2"])
def test_no_answer_is_an_oserror_and_the_next_push_works(serve: ServeAnswers, answer: bytes | None) -> None:
    _, transport = serve(answer)
    with pytest.raises(OSError, match=r"."):
        transport.push(BODY, 0.5)
    assert transport.push(BODY, 5).status == 204


def test_silent_server_is_a_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        transport = HttpPushTransport(LokiSettings(url=f"http://127.0.0.1:{silent.getsockname()[1]}"))
        with pytest.raises(TimeoutError):
            transport.push(BODY, 0.05)


def test_nobody_listening_is_an_oserror() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        HttpPushTransport(LokiSettings(url=f"http://127.0.0.1:{port}")).push(BODY, 5)


def test_endless_answer_is_not_read_to_its_end(serve: ServeAnswers) -> None:
    _, transport = serve(b"HTTP/1.1 500 No\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1_000_000)
    answer = transport.push(BODY, 5)
    assert (answer.status, len(answer.body)) == (500, 64 * 1024)
    assert transport.push(BODY, 5).status == 204
