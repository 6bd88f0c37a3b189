"""The summary for people: verdict first, then totals, errors, routes. Lays out what a report says, computes nothing."""

from collections.abc import Iterator, Sequence

from apimon.loadtest.exchange import OUTCOMES, Outcome
from apimon.loadtest.report import Distribution, LoadReport, RouteReport
from apimon.units import format_bytes

MAX_ERRORS = 10
_OUTCOME_WORDS: dict[Outcome, str] = {
    "ok": "ok",
    "http_error": "HTTP error",
    "check_failed": "check failed",
    "timeout": "timeout",
    "connection_error": "connection error",
    "aborted": "aborted",
}
_NO_VALUE = "-"


def render_summary(report: LoadReport) -> str:
    """Return the summary as plain text of several lines; the first is `verdict_line`."""
    blocks = [
        [verdict_line(report), _run_line(report)],
        list(_total_lines(report)),
        list(_error_lines(report)),
        list(_check_lines(report)),
        _route_table(report.routes),
        list(_caveat_lines(report)),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def verdict_line(report: LoadReport) -> str:
    """Return how the run ended, in one line."""
    if report.interrupted:
        return f"interrupted after {report.times.duration_s:.1f} s: {_success(report)}"
    return f"{'passed' if report.passed else 'failed'}: {_success(report)}"


def _success(report: LoadReport) -> str:
    if not report.total.ok:
        return f"none of {_counted(report.requests, 'request')} succeeded"
    judged = report.scheduled - report.total.outcomes["aborted"]
    return f"{report.total.ok} of {_counted(judged, 'request')} ok ({_percent(report.success_rate)})"


def _percent(share: float) -> str:
    """Never 100 % where something failed, never 0 % where something succeeded."""
    if share in {0.0, 1.0}:
        return f"{share * 100:.0f} %"
    return f"{min(max(share * 100, 0.01), 99.99):.2f} %"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _run_line(report: LoadReport) -> str:
    plan = report.plan
    return (
        f"{plan.scenario.name} scenario, {_counted(plan.users, 'user')}, {report.times.duration_s:.1f} s, "
        f"{plan.target.url}, run {plan.run_id}, seed {plan.seed}"
    )


def _total_lines(report: LoadReport) -> Iterator[str]:
    total = report.total
    outcomes = [f"{total.outcomes[name]} {_OUTCOME_WORDS[name]}" for name in OUTCOMES if total.outcomes[name]]
    yield f"requests   {report.requests} ({report.requests_per_s:.1f}/s): {', '.join(outcomes) or 'none'}"
    if total.statuses:
        yield "statuses   " + ", ".join(f"{status}: {count}" for status, count in total.statuses.items())
    if total.latency is not None:
        yield f"latency    {_spread(total.latency)}"
    if total.service is not None:
        yield f"service    {_spread(total.service)}"
    yield f"traffic    {format_bytes(total.bytes_received)} received, {format_bytes(total.bytes_sent)} sent"


def _spread(spread: Distribution) -> str:
    shown = (("min", spread.min), ("mean", spread.mean), ("p50", spread.p50), ("p95", spread.p95), ("p99", spread.p99))
    return ", ".join(f"{name} {format_ms(value)}" for name, value in (*shown, ("max", spread.max))) + " ms"


def format_ms(value: float | None) -> str:
    """Return milliseconds with about three digits; `-` for None."""
    if value is None:
        return _NO_VALUE
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def _error_lines(report: LoadReport) -> Iterator[str]:
    if not report.errors:
        return
    yield "errors"
    width = len(str(report.errors[0].count))
    for error in report.errors[:MAX_ERRORS]:
        yield f"  {error.count:>{width}} x {error.kind.replace('_', ' ')}: {error.message}"
    if len(report.errors) > MAX_ERRORS:
        yield f"  and {len(report.errors) - MAX_ERRORS} more kinds"


def _check_lines(report: LoadReport) -> Iterator[str]:
    if not report.checks:
        return
    yield "checks"
    for check in report.checks:
        yield f"  {check.name}: {check.passed} passed, {check.failed} failed"


def _route_table(routes: Sequence[RouteReport]) -> list[str]:
    if not routes:
        return []
    return align([("method", "route", "requests", "failed", "p50", "p95", "p99", "max ms"), *map(_row, routes)], left=2)


def _row(route: RouteReport) -> tuple[str, ...]:
    spread = route.latency
    figures = (spread.p50, spread.p95, spread.p99, spread.max) if spread else (None,) * 4
    return (route.method, route.route, str(route.requests), str(route.failed), *map(format_ms, figures))


def align(rows: Sequence[Sequence[str]], left: int) -> list[str]:
    """Return the rows with their columns aligned: the first `left` ones to the left, the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _caveat_lines(report: LoadReport) -> Iterator[str]:
    outside = report.requests - report.total.answers
    if outside:
        yield f"{_counted(outside, 'request')} without a whole answer: not in the latency figures"
    if report.generator_limited:
        yield (
            f"warning: the load generator was the limit (CPU {report.cpu_share * 100:.0f} % of a core, "
            f"send lag p99 {format_ms(report.send_lag_p99_ms)} ms): the server may be faster than these figures"
        )
