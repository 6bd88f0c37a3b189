"""The packing thread's work: queue → encoded entries → sealed batches.

It never waits for Loki, so the queue in front of it stays short in any outage.
"""

import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from apimon.loki.shipper.account import Account
from apimon.loki.shipper.backlog import Backlog
from apimon.loki.shipper.batch import EncodedRecord, OpenBatch
from apimon.loki.shipper.clock import PROCESS_CLOCK, RisingClock
from apimon.loki.shipper.limits import ShippingLimits

T = TypeVar("T")

SLICE_RECORDS = 25
"""Encoded in one go: some 250 µs. Encoding holds the interpreter's lock, and the event loop waits meanwhile."""
_BREATH_S = 0.0005
"""Between slices. A bare yield won't do: this thread would have the lock back before the event loop has woken up."""


class Packer(Generic[T]):
    """Encodes what is queued and seals batches by size, count and age."""

    def __init__(
        self,
        queue: "deque[T]",
        encode: Callable[[T], EncodedRecord],
        account: Account,
        backlog: Backlog,
        limits: ShippingLimits,
        clock: RisingClock = PROCESS_CLOCK,
    ) -> None:
        self._queue = queue
        self._encode = encode
        self._account = account
        self._backlog = backlog
        self._limits = limits
        self._clock = clock
        self._batch = OpenBatch()
        self._opened_s = 0.0

    def pack(self, *, breathe: bool = True) -> None:
        """Encode everything that is queued, and seal the batches that are full or old enough."""
        while slice_ := self._take_slice():
            for item in slice_:
                self._add(item)
            self._batch.compress()
            if breathe and self._queue:
                time.sleep(_BREATH_S)
        if self._batch.records and time.monotonic() - self._opened_s >= self._limits.linger_s:
            self.seal()

    def seal(self) -> None:
        """Seal the open batch, whatever its size and age."""
        if self._batch.records:
            batch, self._batch = self._batch, OpenBatch()
            self._backlog.add(batch.seal())

    def _take_slice(self) -> list[T]:
        with self._account.lock:
            count = min(SLICE_RECORDS, len(self._queue))
            slice_ = [self._queue.popleft() for _ in range(count)]
            self._account.take_locked(count)
        return slice_

    def _add(self, item: T) -> None:
        try:
            labels, timestamp_ns, line = self._encode(item)
        except Exception as exc:  # a record that can't be encoded must not cost the others, nor end this thread
            self._account.drop(1, "encoding_failed", f"{type(exc).__name__}: {exc}")
            return
        if not self._batch.records:
            self._opened_s = time.monotonic()
        self._batch.add(labels, self._clock.stamp_ns(timestamp_ns), line)
        if self._batch.records >= self._limits.batch_records or self._batch.size >= self._limits.batch_bytes:
            self.seal()
