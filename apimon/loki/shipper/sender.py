"""The sending thread's work: one batch in flight, retried until Loki takes it, refuses it, or the process ends."""

import logging
import time
from http import HTTPStatus

from apimon.loki.shipper.account import Account
from apimon.loki.shipper.backlog import Backlog
from apimon.loki.shipper.backoff import Backoff
from apimon.loki.shipper.batch import SealedBatch
from apimon.loki.shipper.transport import PushAnswer, PushTransport

_log = logging.getLogger("apimon.shipper")

OUTAGE_MESSAGE = "apimon: records wait for Loki and are sent again: %s"
"""The first word of an outage."""

_SHORTEST_PUSH_S = 0.05
"""What the last push before a deadline gets, however near that is."""


class Sender:
    """Pushes the backlog, oldest first."""

    def __init__(
        self, backlog: Backlog, transport: PushTransport, account: Account, backoff: Backoff, push_timeout_s: float
    ) -> None:
        self._backlog = backlog
        self._transport = transport
        self._account = account
        self._backoff = backoff
        self._push_timeout_s = push_timeout_s
        self._is_failing = False
        self.deadline_s: float | None = None
        """By `time.monotonic`: when shutdown stops trying; None until shutdown begins."""

    def run(self) -> None:
        """Push until the backlog is closed and empty, or the deadline has passed."""
        try:
            while not self._is_late() and (batch := self._backlog.take()) is not None:
                self._send(batch)
        finally:
            self._backlog.give_up()
            self._transport.close()

    def _send(self, batch: SealedBatch) -> None:
        if self._is_failing:
            self._account.retry()
        try:
            answer = self._transport.push(batch.body, self._timeout_s())
        except OSError as exc:
            self._fail(batch, f"{type(exc).__name__}: {exc}", None)
            return
        except Exception as exc:  # whatever a transport trips over must not end this thread
            # Its text is left out: it may quote the header that can't be sent, and so the credentials.
            self._fail(batch, f"no push could be made: {type(exc).__name__}", None)
            return
        error = f"Loki answered {answer.status}: {' '.join(answer.body.split())[:300]}"
        if 200 <= answer.status < 300:
            self._succeed(batch)
        elif _is_passing(answer):
            self._fail(batch, error, answer.retry_after_s)
        else:
            self._reject(batch, answer.status, error)

    def _succeed(self, batch: SealedBatch) -> None:
        self._account.deliver(batch.records)
        self._backoff.reset()
        if self._is_failing:
            self._is_failing = False
            _log.warning("apimon: Loki takes the records again")

    def _reject(self, batch: SealedBatch, status: int, error: str) -> None:
        self._account.reject(batch.records, f"status_{status}", error)
        self._is_failing = False
        _log.warning("apimon: Loki refused a push of %d records: %s", batch.records, error)

    def _fail(self, batch: SealedBatch, error: str, retry_after_s: float | None) -> None:
        self._backlog.put_back(batch, error)
        if not self._is_failing:
            # Said once an outage: a service that logs to a terminal must not be drowned by its monitor.
            self._is_failing = True
            _log.warning(OUTAGE_MESSAGE, error)
        self._wait(self._backoff.next_delay_s(retry_after_s))

    def _wait(self, delay_s: float) -> None:
        if not self._backlog.is_closed:
            # Shutdown cuts the wait short, for one more attempt.
            self._backlog.wait_closed(delay_s)
        elif self.deadline_s is not None:
            time.sleep(max(0.0, min(delay_s, self.deadline_s - time.monotonic())))

    def _timeout_s(self) -> float:
        if self.deadline_s is None:
            return self._push_timeout_s
        return min(self._push_timeout_s, max(_SHORTEST_PUSH_S, self.deadline_s - time.monotonic()))

    def _is_late(self) -> bool:
        return self.deadline_s is not None and time.monotonic() >= self.deadline_s


def _is_passing(answer: PushAnswer) -> bool:
    """Whether the same push may succeed later."""
    return answer.status >= 500 or answer.status in {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}
