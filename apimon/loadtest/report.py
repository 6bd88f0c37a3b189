"""What a run came to: every figure of the summary and of `apimon.load/1`, computed once. Prints nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from apimon.loadtest.exchange import OUTCOMES, Outcome
from apimon.loadtest.histogram import Histogram
from apimon.loadtest.plan import LoadPlan
from apimon.loadtest.stats import RouteStats, RunStats
from apimon.units import NS_PER_S, format_rfc3339_ns

SCHEMA = "apimon.load/1"

_NS_PER_MS = NS_PER_S / 1000
_PERCENTS = {"p50": 50.0, "p75": 75.0, "p90": 90.0, "p95": 95.0, "p99": 99.0, "p999": 99.9}
_LIMITING_LAG_MS = 5.0
_FEWEST_LAGS = 500
"""Of fewer sends p99 is the few latest ones: what any machine does now and then, and no limit."""
_LIMITING_CPU_SHARE = 0.9


@dataclass(frozen=True)
class Distribution:
    """Milliseconds; minimum, mean and maximum are exact, percentiles within 1 %."""

    min: float
    mean: float
    p50: float
    p75: float
    p90: float
    p95: float
    p99: float
    p999: float
    max: float


@dataclass(frozen=True)
class RouteReport:
    """One method and route."""

    method: str
    route: str
    requests: int
    outcomes: Mapping[Outcome, int]
    statuses: Mapping[int, int]
    bytes_sent: int
    bytes_received: int
    answers: int
    """Whole answers: the requests that the distributions cover."""
    latency: Distribution | None
    service: Distribution | None

    @property
    def ok(self) -> int:
        """Requests that ended as expected."""
        return self.outcomes["ok"]

    @property
    def failed(self) -> int:
        """Requests that were neither ok nor aborted."""
        return self.requests - self.ok - self.outcomes["aborted"]


@dataclass(frozen=True)
class ErrorCount:
    """Errors of one kind and message."""

    kind: str
    message: str
    count: int


@dataclass(frozen=True)
class CheckReport:
    """A check of the scenario."""

    name: str
    passed: int
    failed: int


@dataclass(frozen=True)
class RunTimes:
    """When a run was and what it cost."""

    started_at_ns: int
    """Unix time."""
    duration_s: float
    """First request to last end, the grace included."""
    cpu_s: float
    """Of this process, user and system."""


@dataclass(frozen=True)
class LoadReport:
    """A finished run."""

    plan: LoadPlan
    times: RunTimes
    interrupted: bool
    scheduled: int
    dropped: int
    total: RouteReport
    routes: Sequence[RouteReport]
    errors: Sequence[ErrorCount]
    """Most frequent first."""
    checks: Sequence[CheckReport]
    send_lag_p99_ms: float
    """How late a request left after a think time; 0 where there was none."""
    paced_sends: int
    """Requests that a think time preceded: what the send lag is measured on."""

    @property
    def requests(self) -> int:
        """Requests that were started."""
        return self.scheduled - self.dropped

    @property
    def success_rate(self) -> float:
        """Share of ok requests among those that were not aborted; 0 where there is none."""
        judged = self.scheduled - self.total.outcomes["aborted"]
        return self.total.ok / judged if judged else 0.0

    @property
    def requests_per_s(self) -> float:
        """Requests a second over the whole run."""
        return self.requests / self.times.duration_s if self.times.duration_s else 0.0

    @property
    def cpu_share(self) -> float:
        """The generator's share of one core."""
        return self.times.cpu_s / self.times.duration_s if self.times.duration_s else 0.0

    @property
    def generator_limited(self) -> bool:
        """Whether the figures may show the generator rather than the server.

        It took more than 90 % of a core, or 1 % of at least 500 paced sends left over 5 ms late.
        """
        is_late = self.send_lag_p99_ms > _LIMITING_LAG_MS and self.paced_sends >= _FEWEST_LAGS
        return is_late or self.cpu_share > _LIMITING_CPU_SHARE

    @property
    def passed(self) -> bool:
        """Whether the run went to its end with at least one success."""
        return self.total.ok > 0 and not self.interrupted

    def as_json(self) -> dict[str, Any]:
        """Return the report in the form of `apimon.load/1`."""
        return {
            "schema": SCHEMA,
            "run_id": self.plan.run_id,
            "url": self.plan.target.url,
            "scenario": self.plan.scenario.name,
            "model": "closed",
            "started_at": format_rfc3339_ns(self.times.started_at_ns),
            "duration_s": round(self.times.duration_s, 6),
            "users": self.plan.users,
            "rate": None,
            "seed": self.plan.seed,
            "totals": self._totals_as_json(),
            "latency_ms": self.total.latency and asdict(self.total.latency),
            "service_ms": self.total.service and asdict(self.total.service),
            "statuses": _statuses_as_json(self.total),
            "errors": [asdict(error) for error in self.errors],
            "routes": [_route_as_json(route) for route in self.routes],
            "checks": [asdict(check) for check in self.checks],
            "thresholds": [],
            "passed": self.passed,
            "generator": {
                "limited": self.generator_limited,
                "cpu_s": round(self.times.cpu_s, 6),
                "send_lag_p99_ms": self.send_lag_p99_ms,
                "processes": 1,
            },
        }

    def _totals_as_json(self) -> dict[str, Any]:
        return {
            "scheduled": self.scheduled,
            "requests": self.requests,
            **{outcome: self.total.outcomes[outcome] for outcome in OUTCOMES if outcome != "aborted"},
            "dropped": self.dropped,
            "aborted": self.total.outcomes["aborted"],
            "success_rate": self.success_rate,
            "requests_per_s": round(self.requests_per_s, 3),
            "bytes_received": self.total.bytes_received,
            "bytes_sent": self.total.bytes_sent,
        }


def build_report(plan: LoadPlan, stats: RunStats, times: RunTimes, *, interrupted: bool) -> LoadReport:
    """Return the report of a run whose requests are all settled."""
    lag = stats.send_lag
    return LoadReport(
        plan=plan,
        times=times,
        interrupted=interrupted,
        scheduled=stats.scheduled,
        dropped=stats.dropped,
        total=_route_report("", "", stats.total()),
        routes=[_route_report(method, route, counted) for (method, route), counted in sorted(stats.routes.items())],
        errors=[ErrorCount(kind, message, count) for (kind, message), count in stats.errors.most_common()],
        checks=[CheckReport(name, check.passed, check.failed) for name, check in stats.checks.items()],
        send_lag_p99_ms=lag.percentiles((99,))[0] / _NS_PER_MS if lag.count else 0.0,
        paced_sends=lag.count,
    )


def distribution(histogram: Histogram) -> Distribution | None:
    """Return the distribution of nanoseconds in milliseconds; None where nothing was recorded."""
    if not histogram.count:
        return None
    percentiles = histogram.percentiles(tuple(_PERCENTS.values()))
    return Distribution(
        min=histogram.minimum / _NS_PER_MS,
        mean=histogram.mean / _NS_PER_MS,
        max=histogram.maximum / _NS_PER_MS,
        **{name: value / _NS_PER_MS for name, value in zip(_PERCENTS, percentiles, strict=True)},
    )


def _route_report(method: str, route: str, counted: RouteStats) -> RouteReport:
    return RouteReport(
        method=method,
        route=route,
        requests=counted.requests,
        outcomes=counted.outcomes,
        statuses=dict(sorted(counted.statuses.items())),
        bytes_sent=counted.bytes_sent,
        bytes_received=counted.bytes_received,
        answers=counted.latency.count,
        latency=distribution(counted.latency),
        service=distribution(counted.service),
    )


def _statuses_as_json(route: RouteReport) -> dict[str, int]:
    return {str(status): count for status, count in route.statuses.items()}


def _route_as_json(route: RouteReport) -> dict[str, Any]:
    return {
        "method": route.method,
        "route": route.route,
        "requests": route.requests,
        **{str(outcome): count for outcome, count in route.outcomes.items()},
        "statuses": _statuses_as_json(route),
        "latency_ms": route.latency and asdict(route.latency),
        "service_ms": route.service and asdict(route.service),
        "bytes_received": route.bytes_received,
        "bytes_sent": route.bytes_sent,
    }
