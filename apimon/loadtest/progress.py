"""How a run goes while it runs: figures for a live view, which only draws them."""

from collections.abc import Sequence
from dataclasses import dataclass

from apimon.loadtest.plan import LoadPlan
from apimon.loadtest.stats import RouteStats, RunStats
from apimon.units import NS_PER_S

_NS_PER_MS = NS_PER_S / 1000


@dataclass(frozen=True)
class RouteProgress:
    """One method and route so far."""

    method: str
    route: str
    requests: int
    failed: int
    p50_ms: float | None
    p95_ms: float | None


@dataclass(frozen=True)
class Progress:
    """The run so far; requests are settled ones."""

    elapsed_s: float
    duration_s: float
    users: int
    in_flight: int
    requests: int
    failed: int
    rate_per_s: float
    """Of the time since the last measurement."""
    p50_ms: float | None
    p95_ms: float | None
    routes: Sequence[RouteProgress]


class ProgressMeter:
    """Measures a run's progress from its counts; the clock is the caller's `perf_counter_ns`."""

    def __init__(self, plan: LoadPlan, stats: RunStats, started_ns: int) -> None:
        self._plan = plan
        self._stats = stats
        self._started_ns = started_ns
        self._last_ns = started_ns
        self._last_requests = 0

    def elapsed_s(self, now_ns: int) -> float:
        """Return the seconds since the start."""
        return (now_ns - self._started_ns) / NS_PER_S

    def measure(self, now_ns: int, in_flight: int) -> Progress:
        """Return the progress now; the rate is that since the last call."""
        total = self._stats.total()
        interval_ns = max(1, now_ns - self._last_ns)
        rate = (total.requests - self._last_requests) * NS_PER_S / interval_ns
        self._last_ns, self._last_requests = now_ns, total.requests
        p50_ms, p95_ms = _percentiles_ms(total)
        return Progress(
            elapsed_s=self.elapsed_s(now_ns),
            duration_s=self._plan.duration_s,
            users=self._plan.users,
            in_flight=in_flight,
            requests=total.requests,
            failed=total.failed,
            rate_per_s=rate,
            p50_ms=p50_ms,
            p95_ms=p95_ms,
            routes=[
                RouteProgress(method, route, counted.requests, counted.failed, *_percentiles_ms(counted))
                for (method, route), counted in sorted(self._stats.routes.items())
            ],
        )


def _percentiles_ms(counted: RouteStats) -> tuple[float | None, float | None]:
    if not counted.latency.count:
        return None, None
    p50_ns, p95_ns = counted.latency.percentiles((50, 95))
    return p50_ns / _NS_PER_MS, p95_ns / _NS_PER_MS
