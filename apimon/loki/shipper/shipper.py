"""The shipper: a queue that any thread may fill, and the two threads that empty it into Loki."""

import atexit
import logging
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from apimon.loki.shipper.account import Account, ShippingCounts
from apimon.loki.shipper.backlog import Backlog, DropOverflow, Overflow
from apimon.loki.shipper.backoff import Backoff
from apimon.loki.shipper.batch import EncodedRecord
from apimon.loki.shipper.limits import ShippingLimits
from apimon.loki.shipper.packer import Packer
from apimon.loki.shipper.sender import Sender
from apimon.loki.shipper.transport import PushTransport

T = TypeVar("T")

_log = logging.getLogger("apimon.shipper")

_QUEUE_FULL = "queue_full"
_SETTLE_S = 0.25
"""After a drain's deadline, for the threads to account for what is left."""


class _Run:
    """One life of the threads, from start to drain."""

    def __init__(self, packer: "Packer[Any]", sender: Sender, backlog: Backlog, tick_s: float) -> None:
        self._packer = packer
        self._sender = sender
        self._backlog = backlog
        self._tick_s = tick_s
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._pack, name="apimon-packer", daemon=True),
            threading.Thread(target=sender.run, name="apimon-sender", daemon=True),
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self, timeout_s: float) -> None:
        """Deliver what is there within `timeout_s` and end the threads; a push that hangs may outlive this call."""
        deadline_s = time.monotonic() + timeout_s
        self._sender.deadline_s = deadline_s
        self._stop.set()
        for thread in self._threads:
            thread.join(max(0.0, deadline_s + _SETTLE_S - time.monotonic()))
        if not self._threads[1].is_alive():
            # Batches that were sealed after the deadline have nobody else to account for them.
            self._backlog.give_up()

    def _pack(self) -> None:
        # A tick instead of an event per record: `put` is on the path of requests, and an event costs a lock.
        try:
            while not self._stop.wait(self._tick_s):
                self._packer.pack()
            self._packer.pack(breathe=False)
            self._packer.seal()
        finally:
            self._backlog.close()


class Shipper(Generic[T]):
    """Takes records at any rate and delivers them to Loki; what it can't deliver it counts.

    Threads start with the first record or `start`, never at construction, and not in a forked child before its own
    first record. `drain` ends them; a later record starts them again.
    """

    _queue: "deque[T]"
    _account: Account
    _run: _Run | None
    _start_lock: threading.Lock
    _drain_lock: threading.Lock

    def __init__(
        self,
        encode: Callable[[T], EncodedRecord],
        transport: PushTransport,
        *,
        limits: ShippingLimits | None = None,
        overflow: Overflow | None = None,
    ) -> None:
        self._encode = encode
        self._transport = transport
        self._limits = limits or ShippingLimits()
        self._overflow = overflow or DropOverflow()
        self._begin()
        _LIVE.add(self)

    def put(self, record: T) -> None:
        """Queue a record; never blocks, never raises. The oldest record is dropped where the queue is full."""
        queue = self._queue
        if len(queue) >= self._limits.queue_records:
            self._drop_oldest()
        queue.append(record)
        if self._run is None:
            self.start()

    def start(self) -> None:
        """Start the threads unless they run."""
        with self._start_lock:
            if self._run is None:
                self._run = self._start_run()

    def drain(self, timeout_s: float | None = None) -> ShippingCounts:
        """Deliver what is queued, within `timeout_s` (default: the limits'), end the threads, and return the account.

        Blocks: call it from a thread where there is an event loop. Records that are put meanwhile are delivered too,
        or wait for the next record.
        """
        with self._drain_lock:
            if self._queue:
                self.start()
            if self._run is not None:
                self._run.stop(self._limits.drain_timeout_s if timeout_s is None else timeout_s)
                self._run = None
        return self.counts()

    def counts(self) -> ShippingCounts:
        """Return the account of this moment."""
        return self._account.snapshot()

    def _drop_oldest(self) -> None:
        with self._account.lock:
            # The packing thread may have emptied the queue since its length was read.
            if self._queue:
                self._queue.popleft()
                self._account.take_locked(1)
                self._account.drop_locked(1, _QUEUE_FULL)

    def _start_run(self) -> _Run | None:
        backlog = Backlog(self._limits.backlog_bytes, self._account, self._overflow)
        backoff = Backoff(self._limits.first_retry_s, self._limits.longest_retry_s)
        sender = Sender(backlog, self._transport, self._account, backoff, self._limits.push_timeout_s)
        packer = Packer(self._queue, self._encode, self._account, backlog, self._limits)
        run = _Run(packer, sender, backlog, self._limits.linger_s)
        try:
            run.start()
        except RuntimeError as exc:
            # No thread can be started while the interpreter ends, or where the system has no more of them.
            _log.warning("apimon: records can't be shipped: %s", exc)
            return None
        return run

    def begin_in_child(self) -> None:
        """Begin anew in a forked child: threads don't survive a fork, the parent delivers what was queued there."""
        self._transport.close()
        self._begin()

    def _begin(self) -> None:
        self._queue = deque()
        self._account = Account(self._queue.__len__)
        self._run = None
        # New ones in a child: a thread that doesn't exist there may have held the old ones.
        self._start_lock = threading.Lock()
        self._drain_lock = threading.Lock()


_LIVE: "weakref.WeakSet[Shipper[Any]]" = weakref.WeakSet()


def _begin_in_child() -> None:
    for shipper in list(_LIVE):
        shipper.begin_in_child()


def _drain_at_exit() -> None:
    # Only for programs that end without saying so before: a server drains at its lifespan's end.
    for shipper in list(_LIVE):
        shipper.drain()


os.register_at_fork(after_in_child=_begin_in_child)
atexit.register(_drain_at_exit)
