"""The process's own figures, measured when somebody asks."""

import asyncio
import gc
import time

import psutil

Figures = dict[str, int | float]

_BYTES_PER_MB = 1_000_000


class PerformanceCollector:
    """Figures of this process. Some cost milliseconds: the middleware never asks on a request's path."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        # The first call has nothing to compare with and says 0.0; later ones cover the time since the call before.
        self._process.cpu_percent()

    def get_system_metrics(self) -> Figures:
        """Return `cpu_percent`, `memory_rss_mb`, `memory_percent`, `open_files`, `threads`.

        `cpu_percent` is of one core, since the last call.
        """
        process = self._process
        with process.oneshot():
            return {
                "cpu_percent": process.cpu_percent(),
                "memory_rss_mb": round(process.memory_info().rss / _BYTES_PER_MB, 1),
                "memory_percent": round(process.memory_percent(), 2),
                "open_files": len(process.open_files()),
                "threads": process.num_threads(),
            }

    def get_python_metrics(self) -> Figures:
        """Return `gc_objects` (tracked; a walk over all of them), `gc_collections`, `uptime_seconds`."""
        return {
            "gc_objects": len(gc.get_objects()),
            "gc_collections": sum(generation["collections"] for generation in gc.get_stats()),
            "uptime_seconds": round(time.time() - self._process.create_time(), 1),
        }

    async def get_async_metrics(self) -> Figures:
        """Return `active_tasks` (unfinished), `pending_tasks` (those that wait, this one apart), `loop_time` (s)."""
        tasks = asyncio.all_tasks()
        return {
            "active_tasks": len(tasks),
            "pending_tasks": len(tasks - {asyncio.current_task()}),
            "loop_time": asyncio.get_running_loop().time(),
        }

    async def get_all_metrics(self) -> Figures:
        """Return all of them."""
        return {**self.get_system_metrics(), **self.get_python_metrics(), **await self.get_async_metrics()}
