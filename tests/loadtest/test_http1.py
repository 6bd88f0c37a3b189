"""The connection, fed by hand: every split of the bytes, every kind of end."""

import asyncio
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apimon.loadtest import http1
from apimon.loadtest.exchange import Exchange
from apimon.loadtest.http1 import Connection


class Wire:
    """Stands for the transport."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    abort = close


class Dialogue:
    """A connection with a request on its way."""

    def __init__(self, method: str = "GET") -> None:
        self.finished: list[tuple[Exchange, str]] = []
        self.wire = Wire()
        self.connection = Connection(lambda exchange, failure: self.finished.append((exchange, failure)))
        self.connection.connection_made(cast("asyncio.Transport", self.wire))
        self.exchange = self.ask(method)

    def ask(self, method: str = "GET") -> Exchange:
        self.exchange = Exchange(method)
        self.connection.send(self.exchange, b"request")
        return self.exchange

    def feed(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.connection.data_received(piece)

    @property
    def failure(self) -> str:
        (_, failure), *more = self.finished
        assert not more, "finished twice"
        return failure


ANSWERS = {
    "with a length": (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, b"hello"),
    "chunked": (b"HTTP/1.1 201 C\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nhel\r\n1\r\nl\r\n0\r\n\r\n", 201, b"hell"),
    "with trailers": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: y\r\n\r\n", 200, b"a"),
    "without a body": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
    "not modified": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", 304, b""),
    "after interim answers": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
        200,
        b"x",
    ),
    "after empty lines": (b"\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", 200, b"x"),
    "of an unknown status": (b"HTTP/1.1 799 What\r\nContent-Length: 0\r\n\r\n", 799, b""),
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
def test_answer_is_the_same_wherever_it_is_split(name: str) -> None:
    raw, status, body = ANSWERS[name]
    for cut in range(len(raw)):
        dialogue = Dialogue()
        dialogue.feed(*filter(None, (raw[:cut], raw[cut:])))
        assert dialogue.failure == ""
        assert (dialogue.exchange.status, b"".join(dialogue.exchange.parts)) == (status, body)
        assert dialogue.exchange.bytes_received == len(raw)
        assert dialogue.connection.usable


@given(st.sampled_from(sorted(ANSWERS)), st.data())
def test_answer_is_the_same_in_any_number_of_pieces(name: str, data: st.DataObject) -> None:
    raw, status, body = ANSWERS[name]
    cuts = sorted(data.draw(st.sets(st.integers(1, len(raw) - 1))))
    dialogue = Dialogue()
    dialogue.feed(*(raw[start:end] for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)))
    assert (dialogue.failure, dialogue.exchange.status, b"".join(dialogue.exchange.parts)) == ("", status, body)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_end_at_most_once_and_never_raise(data: bytes) -> None:
    dialogue = Dialogue()
    if data:
        dialogue.feed(data)
    dialogue.connection.connection_lost(None)
    assert len(dialogue.finished) == 1


@given(st.sampled_from(sorted(ANSWERS)), st.integers(0, 200), st.integers(0, 255))
def test_answer_with_one_byte_changed_ends_at_most_once_and_never_raises(name: str, place: int, byte: int) -> None:
    raw = bytearray(ANSWERS[name][0])
    raw[place % len(raw)] = byte
    dialogue = Dialogue()
    dialogue.feed(bytes(raw))
    dialogue.connection.connection_lost(None)
    assert len(dialogue.finished) == 1


def test_two_exchanges_follow_each_other_on_one_connection() -> None:
    dialogue = Dialogue()
    for _ in range(2):
        dialogue.feed(ANSWERS["with a length"][0])
        dialogue.ask()
    assert [(exchange.status, failure) for exchange, failure in dialogue.finished] == [(200, ""), (200, "")]
    assert dialogue.wire.written == b"request" * 3


def test_times_and_bytes_of_an_exchange_are_in_order() -> None:
    dialogue = Dialogue()
    dialogue.feed(*(bytes([byte]) for byte in ANSWERS["with a length"][0]))
    exchange = dialogue.exchange
    assert 0 < exchange.written_ns <= exchange.first_byte_ns < exchange.ended_ns
    assert exchange.bytes_sent == len(b"request")


def test_head_answer_ends_with_its_head_and_the_connection_goes_on() -> None:
    dialogue = Dialogue("HEAD")
    dialogue.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n")
    assert (dialogue.failure, dialogue.connection.usable) == ("", True)
    dialogue.ask("GET")
    dialogue.feed(ANSWERS["with a length"][0])
    assert [failure for _, failure in dialogue.finished] == ["", ""]
    assert b"".join(dialogue.exchange.parts) == b"hello"


def test_head_answer_without_a_body_is_finished_once() -> None:
    dialogue = Dialogue("HEAD")
    dialogue.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert dialogue.failure == ""


def test_head_answer_that_brings_a_body_costs_the_connection() -> None:
    dialogue = Dialogue("HEAD")
    dialogue.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc")
    assert (dialogue.failure, dialogue.connection.usable, dialogue.exchange.parts) == ("", False, [])


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\n\r\nto the end",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nto the end",
        b"HTTP/1.0 200 OK\r\n\r\nto the end",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nto the end",
    ],
)
def test_body_without_a_length_ends_with_the_connection(raw: bytes) -> None:
    dialogue = Dialogue()
    dialogue.feed(raw)
    assert dialogue.finished == []
    dialogue.connection.connection_lost(None)
    assert (dialogue.failure, dialogue.exchange.status) == ("", 200)
    assert b"".join(dialogue.exchange.parts) == b"to the end"


def test_body_without_a_length_is_not_whole_after_a_reset() -> None:
    dialogue = Dialogue()
    dialogue.feed(b"HTTP/1.1 200 OK\r\n\r\nto the")
    dialogue.connection.connection_lost(ConnectionResetError(104, "reset"))
    assert dialogue.failure == "connection reset by the server"


@pytest.mark.parametrize(
    ("raw", "failure"),
    [
        (b"", "connection closed before the answer"),
        (b"HTTP/1.1 200", "answer cut short"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", "answer cut short"),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhell", "answer cut short"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n5\r\nhell", "answer cut short"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "answer cut short"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "answer cut short"),
    ],
)
def test_connection_that_ends_too_early_is_a_failure(raw: bytes, failure: str) -> None:
    dialogue = Dialogue()
    if raw:
        dialogue.feed(raw)
    dialogue.connection.connection_lost(None)
    assert dialogue.failure == failure


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01 TLS?",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * http1.MAX_HEAD_BYTES,
    ],
)
def test_malformed_answer_fails_at_once_and_costs_the_connection(raw: bytes) -> None:
    dialogue = Dialogue()
    dialogue.feed(raw)
    assert dialogue.failure.startswith("malformed answer: ")
    assert dialogue.wire.closed
    assert not dialogue.connection.usable


def test_malformed_status_is_named() -> None:
    dialogue = Dialogue()
    dialogue.feed(b"HTTP/1.1 000 OK\r\n\r\n")
    assert dialogue.failure == "malformed answer: status 000"


def test_endless_headers_are_cut_off_however_small_the_pieces() -> None:
    dialogue = Dialogue()
    dialogue.feed(b"HTTP/1.1 200 OK\r\n")
    for _ in range(http1.MAX_HEAD_BYTES // 1000 + 1):
        if not dialogue.finished:
            dialogue.feed(b"X: " + b"a" * 995 + b"\r\n")
    assert dialogue.failure == "malformed answer: a head of more than 256 KB"


@pytest.mark.parametrize("extra", [b"HTTP/1.1 500 No\r\nContent-Length: 3\r\n\r\nbad", b"\x00", b"more"])
def test_what_follows_an_answer_does_not_change_it_and_costs_the_connection(extra: bytes) -> None:
    dialogue = Dialogue()
    dialogue.feed(ANSWERS["with a length"][0] + extra)
    assert (dialogue.failure, dialogue.exchange.status) == ("", 200)
    assert b"".join(dialogue.exchange.parts) == b"hello"
    assert dialogue.wire.closed
    assert not dialogue.connection.usable


def test_bytes_that_nobody_asked_for_cost_an_idle_connection() -> None:
    dialogue = Dialogue()
    dialogue.feed(ANSWERS["with a length"][0], b"HTTP/1.1 408 Request Timeout\r\n\r\n")
    assert (dialogue.failure, dialogue.wire.closed) == ("", True)


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_connection_that_the_server_will_close_takes_no_more_requests(raw: bytes) -> None:
    dialogue = Dialogue()
    dialogue.feed(raw)
    assert (dialogue.failure, dialogue.connection.usable, dialogue.wire.closed) == ("", False, True)


def test_idle_connection_takes_no_request_after_the_servers_end() -> None:
    dialogue = Dialogue()
    dialogue.feed(ANSWERS["with a length"][0])
    dialogue.connection.eof_received()
    assert not dialogue.connection.usable
    dialogue.connection.connection_lost(None)
    assert len(dialogue.finished) == 1


def test_body_too_large_to_keep_is_counted_and_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http1, "MAX_KEPT_BODY_BYTES", 1000)
    dialogue = Dialogue()
    dialogue.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", *[b"x" * 500] * 10)
    assert dialogue.failure == ""
    assert not dialogue.exchange.body_kept
    assert sum(map(len, dialogue.exchange.parts)) <= 500
    assert dialogue.exchange.bytes_received > 5000


def test_aborted_exchange_is_not_finished() -> None:
    dialogue = Dialogue()
    dialogue.connection.abort()
    dialogue.connection.connection_lost(None)
    assert dialogue.finished == []
