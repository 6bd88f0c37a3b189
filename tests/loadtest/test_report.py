"""The report: the contract's schema to the key, and what its figures mean."""

import json

import pytest

from apimon.loadtest.exchange import Answer, Outcome
from apimon.loadtest.histogram import Histogram
from apimon.loadtest.plan import LoadPlan
from apimon.loadtest.report import LoadReport, RunTimes, build_report, distribution
from apimon.loadtest.shop import SHOP
from apimon.loadtest.stats import RunStats
from apimon.loadtest.target import parse_target

MS = 1_000_000


Counted = tuple[str, Outcome, int, int]
"""Route, outcome, status, latency in ms."""


def stats_of(*requests: Counted) -> RunStats:
    stats = RunStats()
    for route, outcome, status, latency_ms in requests:
        answer = Answer("GET", route, None, intended_ns=1)
        answer.written_ns, answer.ended_ns, answer.status = 1 + MS, 1 + latency_ms * MS, status
        answer.message = outcome
        stats.scheduled += 1
        stats.settle(answer, outcome)
    return stats


def report_of(stats: RunStats, *, interrupted: bool = False, cpu_s: float = 1.0) -> LoadReport:
    plan = LoadPlan(parse_target("http://127.0.0.1:8000/"), SHOP, users=5, seed=7, run_id="abc")
    return build_report(plan, stats, RunTimes(1_700_000_000_000_000_000, 10.0, cpu_s), interrupted=interrupted)


def keys(value: object) -> object:
    if isinstance(value, dict):
        return {key: keys(inner) for key, inner in value.items()}
    return type(value).__name__


def test_json_has_the_contracts_keys_and_types() -> None:
    stats = stats_of(("/", "ok", 200, 10), ("/", "http_error", 409, 20))
    stats.send_lag.record(MS)
    document = json.loads(json.dumps(report_of(stats).as_json()))
    spread = dict.fromkeys(("min", "mean", "p50", "p75", "p90", "p95", "p99", "p999", "max"), "float")
    assert keys(document) == {
        "schema": "str", "run_id": "str", "url": "str", "scenario": "str", "model": "str", "started_at": "str",
        "duration_s": "float", "users": "int", "rate": "NoneType", "seed": "int",
        "totals": {
            **dict.fromkeys(
                ("scheduled", "requests", "ok", "http_error", "check_failed", "timeout", "connection_error", "dropped",
                 "aborted", "bytes_received", "bytes_sent"), "int"),
            "success_rate": "float", "requests_per_s": "float",
        },
        "latency_ms": spread, "service_ms": spread, "statuses": {"200": "int", "409": "int"},
        "errors": "list", "routes": "list", "checks": "list", "thresholds": "list", "passed": "bool",
        "generator": {"limited": "bool", "cpu_s": "float", "send_lag_p99_ms": "float", "processes": "int"},
    }  # fmt: skip
    assert document["schema"] == "apimon.load/1"
    assert document["started_at"] == "2023-11-14T22:13:20.000000000Z"
    assert document["errors"] == [{"kind": "http_error", "message": "http_error", "count": 1}]
    [route] = document["routes"]
    assert {"method", "route", "requests", "ok", "statuses", "latency_ms"} <= set(route)


def test_run_without_a_whole_answer_has_no_distributions() -> None:
    document = report_of(stats_of(("/", "timeout", 0, 0))).as_json()
    assert document["latency_ms"] is None
    assert document["service_ms"] is None
    assert document["routes"][0]["latency_ms"] is None


def test_aborted_requests_leave_the_success_rate() -> None:
    report = report_of(stats_of(("/", "ok", 200, 1), ("/", "timeout", 0, 0), ("/", "aborted", 0, 0)))
    assert report.success_rate == 0.5
    assert report.requests == 3
    assert report.requests_per_s == pytest.approx(0.3)


def test_empty_run_divides_by_nothing() -> None:
    report = report_of(RunStats())
    assert (report.success_rate, report.requests, report.passed) == (0.0, 0, False)


@pytest.mark.parametrize(
    ("outcome", "interrupted", "passed"), [("ok", False, True), ("ok", True, False), ("http_error", False, False)]
)
def test_run_passes_with_a_success_and_its_natural_end(outcome: Outcome, interrupted: bool, passed: bool) -> None:
    report = report_of(stats_of(("/", outcome, 200, 1)), interrupted=interrupted)
    assert report.passed is report.as_json()["passed"] is passed


def test_routes_are_sorted_and_errors_come_by_frequency() -> None:
    report = report_of(
        stats_of(
            ("/b", "timeout", 0, 0), ("/a", "http_error", 500, 1), ("/b", "http_error", 500, 1), ("/a", "ok", 200, 1)
        )
    )
    assert [route.route for route in report.routes] == ["/a", "/b"]
    assert [(error.kind, error.count) for error in report.errors] == [("http_error", 2), ("timeout", 1)]


def test_late_sends_and_a_busy_core_both_limit_the_generator() -> None:
    lagging = stats_of(("/", "ok", 200, 1))
    for number in range(500):
        lagging.send_lag.record(20 * MS if number >= 494 else 0)
    assert report_of(lagging).generator_limited
    assert report_of(stats_of(("/", "ok", 200, 1)), cpu_s=9.5).generator_limited
    assert not report_of(stats_of(("/", "ok", 200, 1)), cpu_s=5).generator_limited


def test_a_few_late_sends_of_a_small_run_are_no_limit() -> None:
    stats = stats_of(("/", "ok", 200, 1))
    for _ in range(499):
        stats.send_lag.record(20 * MS)
    report = report_of(stats)
    assert not report.generator_limited
    assert report.send_lag_p99_ms == pytest.approx(20, rel=0.01)


def test_distribution_is_in_milliseconds_with_exact_ends() -> None:
    histogram = Histogram()
    for milliseconds in range(1, 1001):
        histogram.record(milliseconds * MS)
    spread = distribution(histogram)
    assert spread is not None
    assert (spread.min, spread.mean, spread.max) == (1.0, 500.5, 1000.0)
    assert (spread.p50, spread.p95, spread.p999) == pytest.approx((500, 950, 999), rel=0.01)
