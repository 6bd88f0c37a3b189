"""Leases: connections that commands hold open while they need the server.

A server that was started for its commands ends a while after the last one has gone, however it went.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Leases:
    """Counts the leases; `expired` is set once there has been none for `grace_s` (never where that is None).

    It starts without a lease, its time running. Belongs to the event loop in which it is made.
    """

    def __init__(self, grace_s: float | None) -> None:
        self.expired = asyncio.Event()
        self._grace_s = grace_s
        self._held = 0
        self._timer: asyncio.TimerHandle | None = None
        self._start_timer()

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Be one lease."""
        self._held += 1
        self._stop_timer()
        try:
            yield
        finally:
            self._held -= 1
            if not self._held:
                self._start_timer()

    def close(self) -> None:
        """Let every holder go and count no more."""
        self._stop_timer()
        self._grace_s = None
        self.expired.set()

    def _start_timer(self) -> None:
        if self._grace_s is not None:
            self._timer = asyncio.get_running_loop().call_later(self._grace_s, self.expired.set)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
