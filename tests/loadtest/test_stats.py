"""Counting and merging; names that never repeat must not fill memory."""

from apimon.loadtest.exchange import Answer, Outcome
from apimon.loadtest.stats import MAX_MESSAGES, MAX_ROUTES, OTHER, RouteStats, RunStats


def settled(stats: RunStats, route: str = "/", outcome: Outcome = "ok", message: str = "", status: int = 200) -> None:
    answer = Answer("GET", route, None, intended_ns=1_000_000)
    answer.written_ns, answer.ended_ns, answer.status = 2_000_000, 5_000_000, status
    answer.bytes_sent, answer.bytes_received = 10, 20
    answer.outcome, answer.message = outcome, message
    stats.settle(answer, outcome)


def test_whole_answer_is_counted_with_its_times_and_bytes() -> None:
    stats = RunStats()
    settled(stats, outcome="http_error", message="404 Not Found", status=404)
    total = stats.total()
    assert (total.requests, total.failed, total.outcomes["http_error"], total.statuses) == (1, 1, 1, {404: 1})
    assert (total.latency.total, total.service.total) == (4_000_000, 3_000_000)
    assert (total.bytes_sent, total.bytes_received) == (10, 20)
    assert stats.errors == {("http_error", "404 Not Found"): 1}


def test_aborted_request_is_neither_a_failure_nor_an_error_nor_a_latency() -> None:
    stats = RunStats()
    settled(stats, outcome="aborted", status=0)
    total = stats.total()
    assert (total.requests, total.failed, total.statuses, total.latency.count) == (1, 0, {}, 0)
    assert not stats.errors


def test_merged_routes_count_everything_once() -> None:
    stats = RunStats()
    for route in ("/a", "/b", "/a"):
        settled(stats, route)
    settled(stats, "/b", "timeout", "late", status=0)
    merged = RouteStats()
    for counted in stats.routes.values():
        merged.merge(counted)
        merged.merge(RouteStats())
    assert (merged.requests, merged.outcomes["ok"], merged.outcomes["timeout"], merged.statuses) == (4, 3, 1, {200: 3})
    assert merged.latency.count == merged.service.count == 3
    assert merged.bytes_sent == 40


def test_routes_beyond_the_limit_are_counted_together() -> None:
    stats = RunStats()
    for number in range(MAX_ROUTES + 5):
        settled(stats, f"/{number}")
    assert len(stats.routes) == MAX_ROUTES + 1
    assert stats.routes["GET", OTHER].requests == 5
    assert stats.total().requests == MAX_ROUTES + 5


def test_messages_beyond_the_limit_are_counted_together_and_known_ones_still_apart() -> None:
    stats = RunStats()
    for number in range(MAX_MESSAGES + 3):
        stats.count_error("check_failed", f"check {number}")
    stats.count_error("check_failed", "check 0")
    assert stats.errors["check_failed", OTHER] == 3
    assert stats.errors["check_failed", "check 0"] == 2


def test_checks_beyond_the_limit_are_counted_together() -> None:
    stats = RunStats()
    for number in range(MAX_MESSAGES + 3):
        answer = Answer("GET", "/", None, 0)
        answer.status = 200
        answer.check(f"check {number}", True)
        stats.settle(answer, "ok")
    assert stats.checks[OTHER].passed == 3
