"""The client's side of HTTP/1.1 (RFC 9112) on one kept-alive connection, one exchange at a time.

llhttp parses; what it can't be told through httptools is done here: HEAD, and answers that end with the connection.
Knows bytes and times, not scenarios. Nothing is pipelined, and nothing that was written is written again.
"""

import asyncio
from collections.abc import Callable
from time import perf_counter_ns
from typing import cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from apimon.loadtest.exchange import Exchange, parse_headers
from apimon.loadtest.target import describe_os_error

MAX_HEAD_BYTES = 256 * 1024
MAX_KEPT_BODY_BYTES = 16 * 1024 * 1024

Finish = Callable[[Exchange, str], None]
"""Called once an exchange: with "" when its answer is whole, else with what went wrong."""


class Connection(asyncio.Protocol):
    """A connection that belongs to one user."""

    __slots__ = (
        "_answers", "_exchange", "_feed", "_finish", "_head_complete", "_keep_alive", "_parser", "_parts", "_transport",
        "_write", "usable",
    )  # fmt: skip

    def __init__(self, finish: Finish) -> None:
        self.usable = False
        """Whether a request may be written: open, and nothing on its way."""
        self._finish = finish
        self._transport: asyncio.Transport | None = None
        self._exchange: Exchange | None = None
        self._parts: list[bytes] = []
        self._answers = 0
        self._head_complete = False
        self._keep_alive = True
        self._reset_parser()

    def send(self, exchange: Exchange, payload: bytes) -> None:
        """Write a request; only while `usable`."""
        self.usable = False
        self._exchange = exchange
        self._parts = exchange.parts
        self._head_complete = False
        exchange.bytes_sent = len(payload)
        exchange.written_ns = perf_counter_ns()
        self._write(payload)

    def abort(self) -> None:
        """Close at once; the exchange in flight, if any, is not finished any more."""
        self.usable = False
        self._exchange = None
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Become usable."""
        self._transport = cast("asyncio.Transport", transport)
        self._write = self._transport.write
        self.usable = True

    def connection_lost(self, exc: Exception | None) -> None:
        """End the exchange in flight: whole where the connection's end is the answer's, else failed."""
        self.usable = False
        exchange, self._exchange = self._exchange, None
        # The parser holds bound methods of this object: without this each connection would wait for the collector.
        del self._parser, self._feed, self._write
        self._transport = None
        if exchange is not None:
            self._end_with_connection(exchange, exc)

    def eof_received(self) -> None:
        """Take no more requests: the loop closes the transport, but only in its next turn."""
        self.usable = False

    def data_received(self, data: bytes) -> None:
        """Take a piece of the answer."""
        exchange = self._exchange
        if exchange is None:
            # Nobody asked: it could not be told from the answer to the next request.
            self.abort()
            return
        now = perf_counter_ns()
        if not exchange.first_byte_ns:
            exchange.first_byte_ns = now
        exchange.bytes_received += len(data)
        if not self._head_complete:
            exchange.head += data
        failure = self._parse(data)
        if self._answers:
            exchange.ended_ns = now
            self._end_exchange(exchange)
        elif failure:
            self.abort()
            self._finish(exchange, failure)
        elif exchange.bytes_received > MAX_KEPT_BODY_BYTES:
            exchange.drop_body()

    def _parse(self, data: bytes) -> str:
        try:
            self._feed(data)
        except (HttpParserError, HttpParserUpgrade) as exc:
            # After a whole answer this is about what follows it: the answer stands, the connection does not.
            self._keep_alive = False
            if isinstance(exc, HttpParserUpgrade):
                return "malformed answer: 101 to a request that asked for no upgrade"
            # httptools wraps what a callback of ours raised.
            return f"malformed answer: {exc.__context__ or exc}"
        if not self._head_complete and self._exchange and len(self._exchange.head) > MAX_HEAD_BYTES:
            return f"malformed answer: a head of more than {MAX_HEAD_BYTES // 1024} KB"
        return ""

    def _end_exchange(self, exchange: Exchange) -> None:
        self._exchange = None
        self._answers = 0
        if self._keep_alive:
            self.usable = True
            if exchange.method == "HEAD":
                self._reset_parser()
        elif self._transport is not None:
            self._transport.close()
        self._finish(exchange, "")

    def _end_with_connection(self, exchange: Exchange, exc: Exception | None) -> None:
        if isinstance(exc, OSError):
            self._finish(exchange, describe_os_error(exc))
        elif not exchange.bytes_received:
            self._finish(exchange, "connection closed before the answer")
        elif exc is None and self._head_complete and _ends_with_connection(exchange.head):
            exchange.ended_ns = perf_counter_ns()
            self._finish(exchange, "")
        else:
            self._finish(exchange, "answer cut short")

    def _reset_parser(self) -> None:
        self._parser = HttpResponseParser(self)
        self._feed = self._parser.feed_data

    def on_headers_complete(self) -> None:
        """Take the status; for HEAD this is the whole answer, which llhttp can't know."""
        exchange = self._exchange
        if exchange is None or self._answers:
            self._keep_alive = False
            return
        status = self._parser.get_status_code()
        if status < 100:
            raise HttpParserError(f"status {status:03}")
        exchange.status = status
        self._head_complete = True
        if exchange.method == "HEAD" and status >= 200:
            self._answers = 1
            self._keep_alive = self._parser.should_keep_alive()

    def on_body(self, part: bytes) -> None:
        """Keep a piece of the body, its transfer coding removed."""
        if self._answers:
            self._keep_alive = False
        else:
            self._parts.append(part)

    def on_message_complete(self) -> None:
        """End the answer, or go on to the final one after an interim (1xx) answer."""
        exchange = self._exchange
        if exchange is None or self._answers:
            return
        if exchange.status < 200:
            self._head_complete = False
            return
        self._answers = 1
        self._keep_alive = self._parser.should_keep_alive()


def _ends_with_connection(head: bytes) -> bool:
    """Whether a body after this head has no other end than the connection's (RFC 9112, 6.3)."""
    headers = parse_headers(head)
    codings = headers.get("transfer-encoding")
    if codings is not None:
        return codings.rpartition(",")[2].strip().lower() != "chunked"
    return "content-length" not in headers
