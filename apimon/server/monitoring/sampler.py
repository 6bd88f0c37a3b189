"""A snapshot of the process for the records, renewed in the background: no request ever measures."""

import asyncio
from dataclasses import dataclass

import psutil

INTERVAL_S = 5.0
LAG_INTERVAL_S = 0.5
"""How often the event loop's lag is looked at; the snapshot holds the worst of its interval."""
_BYTES_PER_MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The process at one moment, as the record's fields."""

    fields: dict[str, float | int]


class ProcessSampler:
    """Renews `snapshot` from timers of the event loop; where none runs, whoever wants a new one calls `sample`."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._process.cpu_percent()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._worst_lag_s = 0.0
        self._sampled_at_s = 0.0
        self.snapshot = self.sample()

    def start(self) -> None:
        """Begin to sample on the running loop; does nothing where none runs, or where it has begun already."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        if self._loop is loop:
            return
        self.stop()
        # A worker may have been forked since: the figures must be its own.
        self._process = psutil.Process()
        self._process.cpu_percent()
        self._loop = loop
        self._sampled_at_s = loop.time()
        self.sample()
        self._schedule(loop)

    def stop(self) -> None:
        """Stop sampling; the last snapshot stays."""
        if self._timer is not None:
            self._timer.cancel()
        self._loop = self._timer = None

    def sample(self) -> Snapshot:
        """Measure, and return and keep the snapshot."""
        self.snapshot = Snapshot({
            "cpu_percent": self._process.cpu_percent(),
            "memory_rss_mb": round(self._process.memory_info().rss / _BYTES_PER_MB, 1),
            "active_tasks": len(asyncio.all_tasks(self._loop)) if self._loop else 0,
            "loop_lag_ms": round(self._worst_lag_s * 1000, 3),
        })  # fmt: skip
        self._worst_lag_s = 0.0
        return self.snapshot

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_later(LAG_INTERVAL_S, self._look, loop, loop.time() + LAG_INTERVAL_S)

    def _look(self, loop: asyncio.AbstractEventLoop, due_s: float) -> None:
        now_s = loop.time()
        self._worst_lag_s = max(self._worst_lag_s, now_s - due_s)
        if now_s - self._sampled_at_s >= INTERVAL_S:
            self._sampled_at_s = now_s
            self.sample()
        self._schedule(loop)
