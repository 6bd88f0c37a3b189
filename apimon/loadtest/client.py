"""One user's HTTP client: its connection, replaced when it is gone, and the request that is in flight on it."""

import asyncio

from apimon.loadtest.exchange import Answer, Exchange, Outcome
from apimon.loadtest.http1 import Connection
from apimon.loadtest.pacing import backoff_s
from apimon.loadtest.target import Dialer, describe_os_error


class Client:
    """Sends one request at a time. Whatever happens to it, its future gets the answer, never an exception."""

    def __init__(self, dialer: Dialer) -> None:
        self._dialer = dialer
        self._loop = asyncio.get_running_loop()
        self._connection: Connection | None = None
        self._opening: asyncio.Task[None] | None = None
        self._answer: Answer | None = None
        self._waiter: asyncio.Future[Answer] | None = None
        self._failures_in_a_row = 0

    @property
    def in_flight(self) -> Answer | None:
        """The request that has been started and has not ended."""
        answer = self._answer
        return answer if answer is not None and answer.outcome is None else None

    @property
    def awaited(self) -> asyncio.Future[Answer] | None:
        """The future of the request in flight; None where nothing is, or nobody waits for it any more."""
        return None if self.in_flight is None or self._waiter is None or self._waiter.cancelled() else self._waiter

    def send(self, answer: Answer, payload: bytes) -> asyncio.Future[Answer]:
        """Send a request, over a new connection where there is none; only while nothing is in flight.

        The future gets the answer once its outcome is known, and after a connection error only after the back-off.
        """
        self._answer = answer
        self._waiter = waiter = self._loop.create_future()
        connection = self._connection
        if connection is not None and connection.usable:
            connection.send(answer, payload)
        else:
            self._opening = self._loop.create_task(self._open_and_send(answer, payload))
        return waiter

    def break_off(self, outcome: Outcome, message: str) -> None:
        """End the request in flight, if any, without its answer and close the connection that it was on."""
        answer = self.in_flight
        if answer is None:
            return
        answer.fail(outcome, message)
        if self._opening is not None:
            self._opening.cancel()
            self._opening = None
        if self._connection is not None:
            self._connection.abort()
        _resolve(self._waiter, answer)

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.abort()

    async def _open_and_send(self, answer: Answer, payload: bytes) -> None:
        try:
            connection = await self._dialer.open(lambda: Connection(self._finish))
        except OSError as exc:
            self._opening = None
            self._finish(answer, describe_os_error(exc))
            return
        self._opening = None
        self._connection = connection
        if connection.usable:
            connection.send(answer, payload)
        else:
            self._finish(answer, "connection closed before the request")

    def _finish(self, exchange: Exchange, failure: str) -> None:
        answer, waiter = self._answer, self._waiter
        if answer is None or answer is not exchange:
            return
        if not failure:
            self._failures_in_a_row = 0
            answer.complete()
            _resolve(waiter, answer)
            return
        answer.fail("connection_error", failure)
        self._failures_in_a_row += 1
        self._loop.call_later(backoff_s(self._failures_in_a_row), _resolve, waiter, answer)


def _resolve(waiter: asyncio.Future[Answer] | None, answer: Answer) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(answer)
