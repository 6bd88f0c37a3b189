"""Sealed batches that wait for Loki: first in, first out, bounded in bytes."""

import threading
from collections import deque
from enum import StrEnum
from typing import Protocol

from apimon.loki.shipper.account import Account
from apimon.loki.shipper.batch import SealedBatch


class OverflowReason(StrEnum):
    """Why a batch can't stay in memory."""

    BACKLOG_FULL = "backlog_full"
    SHUTDOWN = "shutdown"


class Overflow(Protocol):
    """Where batches go that memory can't keep: the oldest of a full backlog, and what shutdown couldn't deliver.

    A spool on disk belongs here. Without one, those records are dropped and counted under the reason.
    """

    def keep(self, batch: SealedBatch, reason: OverflowReason, /) -> bool:
        """Return whether the batch is safe elsewhere now; called from the shipper's threads, never a request's."""
        ...


class DropOverflow:
    """Keeps nothing: every batch that memory can't hold is lost, and counted."""

    def keep(self, _batch: SealedBatch, _reason: OverflowReason, /) -> bool:
        """Return False."""
        return False


class Backlog:
    """The batches between packing and sending. Loki wants each stream in order, so there is one queue for all."""

    def __init__(self, max_bytes: int, account: Account, overflow: Overflow) -> None:
        self._max_bytes = max_bytes
        self._account = account
        self._overflow = overflow
        self._batches: deque[SealedBatch] = deque()
        self._bytes = 0
        self._closed = False
        self._changed = threading.Condition()

    def add(self, batch: SealedBatch) -> None:
        """Append a batch; the oldest ones that no longer fit go to the overflow."""
        with self._changed:
            self._batches.append(batch)
            self._bytes += len(batch.body)
            surplus = []
            while self._bytes > self._max_bytes and len(self._batches) > 1:
                surplus.append(self._pop())
            self._changed.notify_all()
        for old in surplus:
            self._give_up(old, OverflowReason.BACKLOG_FULL)

    def close(self) -> None:
        """Say that nothing more will be added: `take` returns None once it is empty, and nobody waits any longer."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def is_closed(self) -> bool:
        """Whether the last batch was added."""
        return self._closed

    def take(self) -> SealedBatch | None:
        """Wait for the oldest batch and count it in flight; None when the backlog is closed and empty."""
        with self._changed:
            while not self._batches:
                if self._closed:
                    return None
                self._changed.wait()
            batch = self._pop()
            self._account.depart(batch.records)
            return batch

    def put_back(self, batch: SealedBatch, error: str) -> None:
        """Return a batch whose push failed to its place, the front."""
        with self._changed:
            self._batches.appendleft(batch)
            self._bytes += len(batch.body)
            self._account.put_back(batch.records, error)

    def wait_closed(self, timeout_s: float) -> None:
        """Wait until `close`, at most `timeout_s`."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed, timeout_s)

    def give_up(self) -> None:
        """Hand everything that waits to the overflow: the process ends."""
        while True:
            with self._changed:
                if not self._batches:
                    return
                batch = self._pop()
            self._give_up(batch, OverflowReason.SHUTDOWN)

    def _pop(self) -> SealedBatch:
        batch = self._batches.popleft()
        self._bytes -= len(batch.body)
        return batch

    def _give_up(self, batch: SealedBatch, reason: OverflowReason) -> None:
        if self._overflow.keep(batch, reason):
            self._account.keep(batch.records)
        else:
            self._account.drop(batch.records, reason)
