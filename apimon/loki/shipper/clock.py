"""Timestamps that are unique and rise within one process, however coarse or jumpy the system's clock is."""

import threading

LONGEST_LEAD_NS = 600 * 1_000_000_000
"""How far ahead of the system's clock a timestamp may run; Loki refuses what is further ahead than 10 minutes."""


class RisingClock:
    """Hands out the given times, pushed up where needed so that each is later than the one before."""

    def __init__(self) -> None:
        self._last_ns = 0
        self._lock = threading.Lock()

    def stamp_ns(self, time_ns: int) -> int:
        """Return `time_ns`, or the first nanosecond after the last stamp where that is later.

        A clock that was set back further than `LONGEST_LEAD_NS` is followed: stamps so far ahead would be refused.
        """
        with self._lock:
            if time_ns <= self._last_ns < time_ns + LONGEST_LEAD_NS:
                time_ns = self._last_ns + 1
            self._last_ns = time_ns
            return time_ns


PROCESS_CLOCK = RisingClock()
"""One for the process, since two shippers may write to the same stream."""
