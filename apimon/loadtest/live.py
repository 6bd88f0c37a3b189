"""The live view of a run on a terminal. Draws what a Progress says; keeps no figures of its own.

Text, not rich's tables: a frame is drawn between requests, and a table of twelve rows would hold them up for 13 ms.
"""

from types import TracebackType
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from apimon.loadtest.progress import Progress, RouteProgress
from apimon.loadtest.summary import align, format_ms

_MAX_ROUTES = 12
_BAR_WIDTH = 30


class LiveView:
    """A context manager around the run; call `show` with each Progress."""

    def __init__(self, file: TextIO) -> None:
        self._live = Live(console=Console(file=file), auto_refresh=False, transient=True, redirect_stdout=False)

    def __enter__(self) -> "LiveView":
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, progress: Progress) -> None:
        """Draw a frame."""
        self._live.update(Text("\n".join(render_frame(progress)), no_wrap=True, overflow="ellipsis"), refresh=True)


def render_frame(progress: Progress) -> list[str]:
    """Return the lines of a frame."""
    done = min(1.0, progress.elapsed_s / progress.duration_s)
    bar = ("=" * round(done * _BAR_WIDTH)).ljust(_BAR_WIDTH)
    phase = "waiting for the last answers" if done == 1.0 else f"{progress.duration_s:g} s"
    lines = [
        f"[{bar}] {progress.elapsed_s:.1f} s / {phase}",
        f"users {progress.users}   in flight {progress.in_flight}   requests {progress.requests}   "
        f"rate {progress.rate_per_s:.1f}/s",
        f"failed {progress.failed}   p50 {format_ms(progress.p50_ms)} ms   p95 {format_ms(progress.p95_ms)} ms",
    ]
    if progress.routes:
        lines += ["", *align([("method", "route", "requests", "failed", "p50", "p95 ms"), *_rows(progress)], left=2)]
    if len(progress.routes) > _MAX_ROUTES:
        lines.append(f"and {len(progress.routes) - _MAX_ROUTES} more routes")
    return lines


def _rows(progress: Progress) -> list[tuple[str, ...]]:
    return [_row(route) for route in progress.routes[:_MAX_ROUTES]]


def _row(route: RouteProgress) -> tuple[str, ...]:
    return (
        route.method, route.route, str(route.requests), str(route.failed), format_ms(route.p50_ms),
        format_ms(route.p95_ms),
    )  # fmt: skip
