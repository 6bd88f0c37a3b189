"""One request under watch: what passes between server and app is counted, and closes the record.

On the path of every request, so it keeps references and does no work that can wait.
"""

from sys import exc_info
from time import perf_counter_ns, time_ns
from typing import Protocol

from apimon.server.monitoring.asgi import Message, Receive, Scope, Send
from apimon.server.monitoring.failure import Failure, is_client_disconnect
from apimon.server.monitoring.record import BackgroundRecord, RequestRecord

CLIENT_CLOSED_REQUEST = 499
"""The client had gone before the app answered (nginx's status for it; no client ever sees it)."""


class RecordKeeper(Protocol):
    """What is told how an exchange went. Its methods never raise: the request must not fail for its record."""

    def keep_request(self, record: RequestRecord, scope: Scope) -> None:
        """Take over the complete record, and what it needs of the scope."""
        ...

    def keep_background(self, record: BackgroundRecord) -> None:
        """Take over a failure after the response."""
        ...


class Exchange:
    """A request and its response, from the first call of the app to its return.

    `receive` and `send` stand in for the server's: every message passes unchanged, and none is asked for that the app
    does not ask for.
    """

    __slots__ = (
        "_answered", "_body_limit", "_is_closed", "_is_disconnected", "_is_handed_over", "_keeper", "_receive",
        "_record", "_scope", "_send", "_with_trailers",
    )  # fmt: skip

    def __init__(self, scope: Scope, receive: Receive, send: Send, keeper: RecordKeeper, body_limit: int) -> None:
        """`body_limit`: up to how many bytes the request's body is kept; 0 for none."""
        self._record = RequestRecord()
        self._scope = scope
        self._receive = receive
        self._send = send
        self._keeper = keeper
        self._body_limit = body_limit
        self._answered: BaseException | None = None
        self._is_closed = False
        self._is_disconnected = False
        self._is_handed_over = False
        self._with_trailers = False

    async def receive(self) -> Message:
        """Hand on the server's next message."""
        message = await self._receive()
        if self._is_closed:
            return message
        if message["type"] == "http.request":
            body = message.get("body")
            if body:
                record = self._record
                record.request_bytes += len(body)
                record.body = record.body + body if record.request_bytes <= self._body_limit else b""
        elif message["type"] == "http.disconnect":
            self._is_disconnected = True
        return message

    async def send(self, message: Message) -> None:
        """Hand on the app's next message; the final one closes the record."""
        try:
            await self._send(message)
        except OSError:
            # From ASGI 2.4 on a server says in this way that the client has gone.
            self._is_disconnected = True
            raise
        record = self._record
        kind = message["type"]
        if kind == "http.response.body":
            body = message.get("body")
            if body:
                record.response_bytes += len(body)
            if not message.get("more_body") and not self._with_trailers:
                self._close()
        elif kind == "http.response.start":
            # Only now: a head that the server refuses, such as one with a line break in a header, was never sent.
            if not record.status:
                record.ttfb_ns = perf_counter_ns() - record.started_ns
                record.status = message["status"]
                record.response_headers = message.get("headers", ())
                self._with_trailers = message.get("trailers", False)
        elif self._is_final(message):
            self._close()

    def end(self) -> None:
        """Complete the record, if it is not: the app has returned."""
        if self._is_handed_over:
            return
        record = self._record
        if not self._is_closed:
            if not self._is_disconnected:
                # The app's fault: the server will answer 500, or cut the connection.
                record.is_incomplete = True
                record.status = record.status or 500
            elif not record.status:
                record.status = CLIENT_CLOSED_REQUEST
            self._close()
        self._hand_over()

    def fail(self, exc: BaseException) -> None:
        """Complete the record, if it is not: the app has raised. The caller re-raises."""
        record = self._record
        if not self._is_closed:
            self._close_failed(exc)
            self._hand_over()
        elif exc is self._answered:
            record.failure = Failure.capture(exc)
            self._hand_over()
        else:
            self._hand_over()
            # A background task's, or of what follows the `yield` of a dependency: to be cancelled is no failure there.
            if isinstance(exc, Exception):
                self._keeper.keep_background(BackgroundRecord(record, Failure.capture(exc), time_ns()))

    def _close_failed(self, exc: BaseException) -> None:
        record = self._record
        if self._is_disconnected and is_client_disconnect(exc):
            record.status = record.status or CLIENT_CLOSED_REQUEST
        else:
            record.failure = Failure.capture(exc)
            record.is_incomplete = record.status != 0
            record.status = record.status or 500
        self._close()

    def _is_final(self, message: Message) -> bool:
        match message["type"]:
            case "http.response.pathsend":
                return not self._with_trailers
            case "http.response.zerocopysend":
                return not message.get("more_body", False) and not self._with_trailers
            case "http.response.trailers":
                return not message.get("more_trailers", False)
        return False

    def _close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        record = self._record
        record.duration_ns = perf_counter_ns() - record.started_ns
        record.timestamp_ns = time_ns()
        if self._is_disconnected:
            record.is_aborted = record.status != CLIENT_CLOSED_REQUEST
        # A framework that answers for an exception does so while it handles it, and may raise it afterwards: then it is
        # this response's, and the record waits for it. Any other response is handed over now, whatever runs after it.
        self._answered = exc_info()[1]
        if self._answered is None:
            self._hand_over()

    def _hand_over(self) -> None:
        if not self._is_handed_over:
            self._is_handed_over = True
            self._answered = None  # its traceback leads back here: only the garbage collector would free it all
            self._keeper.keep_request(self._record, self._scope)
