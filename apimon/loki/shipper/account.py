"""The account of every record: where it is, or how it ended.

    recorded = delivered + kept + sum(dropped) + sum(rejected) + queued + in_flight

holds in every snapshot. One lock guards all of it; the path of a request never takes it, except to drop a record from
a full queue.
"""

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ShippingCounts:
    """A snapshot of the account, in records except where said."""

    recorded: int
    """Handed to `put` so far."""
    queued: int
    """Waiting: not encoded, in an open batch, or in a batch that waits for its push."""
    in_flight: int
    """In the push that runs now."""
    delivered: int
    """Acknowledged by Loki."""
    kept: int
    """Taken over by the overflow, which answers for them from then on."""
    retried: int
    """Pushes (not records) that were sent again."""
    dropped: Mapping[str, int] = field(default_factory=dict)
    """Given up, by reason: `queue_full`, `backlog_full`, `shutdown`, `encoding_failed`."""
    rejected: Mapping[str, int] = field(default_factory=dict)
    """In pushes that Loki refused for good, by `status_<code>`; of a 400, Loki may have stored the valid entries."""
    last_error: str = ""
    """Why the last push, or the last record's encoding, failed; it stays after a recovery."""

    @property
    def lost(self) -> int:
        """Records that nobody will deliver any more."""
        return sum(self.dropped.values()) + sum(self.rejected.values())


class Account:
    """The counters behind `ShippingCounts`."""

    def __init__(self, count_unpacked: Callable[[], int]) -> None:
        """`count_unpacked` returns the length of the queue that `put` fills; it is read under the lock."""
        self.lock = threading.Lock()
        self._count_unpacked = count_unpacked
        self._taken = 0
        self._packed = 0
        self._in_flight = 0
        self._delivered = 0
        self._kept = 0
        self._retried = 0
        self._dropped: Counter[str] = Counter()
        self._rejected: Counter[str] = Counter()
        self._last_error = ""

    def take_locked(self, records: int) -> None:
        """Count `records` out of the queue into packing. The caller holds `lock` and removes them under it."""
        self._taken += records
        self._packed += records

    def drop(self, records: int, reason: str, error: str = "") -> None:
        """Count `records` that were in packing or in the backlog as given up."""
        with self.lock:
            self.drop_locked(records, reason)
            self._last_error = error or self._last_error

    def drop_locked(self, records: int, reason: str) -> None:
        """As `drop`, where the caller holds `lock`."""
        self._packed -= records
        self._dropped[reason] += records

    def keep(self, records: int) -> None:
        """Count `records` as taken over by the overflow."""
        with self.lock:
            self._packed -= records
            self._kept += records

    def depart(self, records: int) -> None:
        """Count `records` into the push that starts."""
        with self.lock:
            self._packed -= records
            self._in_flight += records

    def deliver(self, records: int) -> None:
        """Count `records` in flight as acknowledged."""
        with self.lock:
            self._in_flight -= records
            self._delivered += records

    def reject(self, records: int, reason: str, error: str) -> None:
        """Count `records` in flight as refused for good."""
        with self.lock:
            self._in_flight -= records
            self._rejected[reason] += records
            self._last_error = error

    def put_back(self, records: int, error: str) -> None:
        """Count `records` in flight as waiting again: their push failed."""
        with self.lock:
            self._in_flight -= records
            self._packed += records
            self._last_error = error

    def retry(self) -> None:
        """Count one push that is sent again."""
        with self.lock:
            self._retried += 1

    def snapshot(self) -> ShippingCounts:
        """Return the counts of one instant."""
        with self.lock:
            unpacked = self._count_unpacked()
            return ShippingCounts(
                recorded=self._taken + unpacked,
                queued=self._packed + unpacked,
                in_flight=self._in_flight,
                delivered=self._delivered,
                kept=self._kept,
                retried=self._retried,
                dropped=dict(self._dropped),
                rejected=dict(self._rejected),
                last_error=self._last_error,
            )
