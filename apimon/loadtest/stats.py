"""What a run counts: per method and route, per check, and the generator's own lateness. Mergeable, prints nothing."""

from collections import Counter
from dataclasses import dataclass, field

from apimon.loadtest.exchange import OUTCOMES, Answer, Outcome
from apimon.loadtest.histogram import Histogram

MAX_ROUTES = 1000
MAX_MESSAGES = 200
OTHER = "(other)"
"""Where routes, checks and messages beyond the limit are counted: a name with an id in it must not fill memory."""


class RouteStats:
    """The settled requests of one method and route, or of several merged."""

    def __init__(self) -> None:
        self.requests = 0
        self.outcomes: dict[Outcome, int] = dict.fromkeys(OUTCOMES, 0)
        self.statuses: dict[int, int] = {}
        self.latency = Histogram()
        """Intended start to last byte, of whole answers."""
        self.service = Histogram()
        """Written to last byte, of whole answers."""
        self.bytes_sent = 0
        self.bytes_received = 0

    def record(self, answer: Answer, outcome: Outcome) -> None:
        """Count one settled request."""
        self.requests += 1
        self.outcomes[outcome] += 1
        self.bytes_sent += answer.bytes_sent
        self.bytes_received += answer.bytes_received
        status = answer.status
        if status:
            statuses = self.statuses
            statuses[status] = statuses.get(status, 0) + 1
            self.latency.record(answer.ended_ns - answer.intended_ns)
            self.service.record(answer.ended_ns - answer.written_ns)

    def merge(self, other: "RouteStats") -> None:
        """Add what `other` has counted."""
        self.requests += other.requests
        for outcome, count in other.outcomes.items():
            self.outcomes[outcome] += count
        for status, count in other.statuses.items():
            self.statuses[status] = self.statuses.get(status, 0) + count
        self.latency.merge(other.latency)
        self.service.merge(other.service)
        self.bytes_sent += other.bytes_sent
        self.bytes_received += other.bytes_received

    @property
    def failed(self) -> int:
        """Settled requests that were neither ok nor aborted."""
        return self.requests - self.outcomes["ok"] - self.outcomes["aborted"]


@dataclass
class CheckStats:
    """How often a check held."""

    passed: int = 0
    failed: int = 0


@dataclass
class RunStats:
    """Everything counted in a run."""

    scheduled: int = 0
    """Requests started, in flight ones too; counted apart from how they end, so that the two can be compared."""
    dropped: int = 0
    """Requests that were due and never started; none in the closed model."""
    routes: dict[tuple[str, str], RouteStats] = field(default_factory=dict)
    """By method and route, in the order first seen."""
    errors: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By kind and message."""
    checks: dict[str, CheckStats] = field(default_factory=dict)
    send_lag: Histogram = field(default_factory=Histogram)
    """How late paced requests were sent: of our own making, not the server's."""

    def settle(self, answer: Answer, outcome: Outcome) -> None:
        """Count a request that has ended; once each."""
        route = self.routes.get((answer.method, answer.route)) or self._add_route(answer)
        route.record(answer, outcome)
        if outcome not in {"ok", "aborted"}:
            self.count_error(outcome, answer.message)
        if answer.passed_checks or answer.failed_checks:
            self._count_checks(answer)

    def count_error(self, kind: str, message: str) -> None:
        """Count an error by kind and message."""
        key = (kind, message)
        if key not in self.errors and len(self.errors) >= MAX_MESSAGES:
            key = (kind, OTHER)
        self.errors[key] += 1

    def total(self) -> RouteStats:
        """Return all routes merged."""
        total = RouteStats()
        for route in self.routes.values():
            total.merge(route)
        return total

    def _add_route(self, answer: Answer) -> RouteStats:
        name = answer.route if len(self.routes) < MAX_ROUTES else OTHER
        return self.routes.setdefault((answer.method, name), RouteStats())

    def _count_checks(self, answer: Answer) -> None:
        for names, attribute in ((answer.passed_checks, "passed"), (answer.failed_checks, "failed")):
            for name in names:
                key = name if name in self.checks or len(self.checks) < MAX_MESSAGES else OTHER
                check = self.checks.setdefault(key, CheckStats())
                setattr(check, attribute, getattr(check, attribute) + 1)
