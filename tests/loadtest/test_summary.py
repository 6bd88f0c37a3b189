"""What people read: the summary and the live view."""

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from apimon.loadtest.live import LiveView, render_frame
from apimon.loadtest.progress import Progress, ProgressMeter, RouteProgress
from apimon.loadtest.stats import RunStats
from apimon.loadtest.summary import format_ms, render_summary
from tests.loadtest.test_report import MS, Counted, report_of, stats_of

OK: Counted = ("/", "ok", 200, 1)
LATE: Counted = ("/", "timeout", 0, 0)


def test_verdict_is_the_first_line() -> None:
    passed = stats_of(("/", "ok", 200, 1), ("/", "http_error", 409, 1))
    assert render_summary(report_of(passed)).startswith("passed: 1 of 2 requests ok (50.00 %)\n")
    failed = stats_of(("/", "http_error", 500, 1))
    assert render_summary(report_of(failed)).startswith("failed: none of 1 request succeeded\n")
    interrupted = report_of(passed, interrupted=True)
    assert render_summary(interrupted).startswith("interrupted after 10.0 s: 1 of 2 requests ok (50.00 %)\n")


def test_success_rate_is_never_rounded_to_all_or_nothing() -> None:
    mostly = stats_of(*[OK] * 99_999, LATE)
    assert "(99.99 %)" in render_summary(report_of(mostly))
    hardly = stats_of(*[LATE] * 99_999, OK)
    assert "(0.01 %)" in render_summary(report_of(hardly))


def test_summary_shows_totals_errors_statuses_and_routes() -> None:
    stats = stats_of(
        ("/products", "ok", 200, 10), ("/products", "http_error", 409, 20), ("/orders", "timeout", 0, 0),
        ("/orders", "aborted", 0, 0),
    )  # fmt: skip
    text = render_summary(report_of(stats))
    assert "requests   4 (0.4/s): 1 ok, 1 HTTP error, 1 timeout, 1 aborted" in text
    assert "statuses   200: 1, 409: 1" in text
    assert "  1 x http error: http_error" in text
    assert re.search(r"^GET +/products +2 +1 +10\.0 +20\.\d +20\.\d +20\.0$", text, re.MULTILINE)
    assert re.search(r"^GET +/orders +2 +1 +- +- +- +-$", text, re.MULTILINE)
    assert "2 requests without a whole answer: not in the latency figures" in text
    assert "warning" not in text


def test_summary_says_when_the_generator_was_the_limit() -> None:
    text = render_summary(report_of(stats_of(("/", "ok", 200, 1)), cpu_s=9.9))
    assert "warning: the load generator was the limit (CPU 99 % of a core" in text


def test_summary_shows_checks_and_cuts_a_long_list_of_errors() -> None:
    stats = stats_of(("/", "ok", 200, 1))
    for number in range(15):
        stats.count_error("check_failed", f"check {number}")
    report = report_of(stats)
    assert "and 5 more kinds" in render_summary(report)
    assert "checks" not in render_summary(report)


def test_summary_of_an_empty_run_is_whole() -> None:
    assert "requests   0 (0.0/s): none" in render_summary(report_of(RunStats()))


@pytest.mark.parametrize(("value", "text"), [(None, "-"), (0.1234, "0.12"), (12.34, "12.3"), (1234.5, "1234")])
def test_milliseconds_have_about_three_digits(value: float | None, text: str) -> None:
    assert format_ms(value) == text


PROGRESS = Progress(
    elapsed_s=2.5, duration_s=10.0, users=5, in_flight=2, requests=40, failed=3, rate_per_s=16.0, p50_ms=12.0,
    p95_ms=None, routes=[RouteProgress("GET", "/products", 40, 3, 12.0, 30.0)],
)  # fmt: skip


def test_frame_shows_users_rate_latency_and_failures_by_route() -> None:
    frame = "\n".join(render_frame(PROGRESS))
    assert "2.5 s / 10 s" in frame
    assert "users 5   in flight 2   requests 40   rate 16.0/s" in frame
    assert "failed 3   p50 12.0 ms   p95 - ms" in frame
    assert re.search(r"^GET +/products +40 +3 +12\.0 +30\.0$", frame, re.MULTILINE)


def test_frame_after_the_end_says_what_is_waited_for() -> None:
    assert "waiting for the last answers" in render_frame(replace(PROGRESS, elapsed_s=10.4))[0]


def test_frame_of_many_routes_stays_short() -> None:
    frame = render_frame(replace(PROGRESS, routes=[PROGRESS.routes[0]] * 50))
    assert frame[-1] == "and 38 more routes"
    assert len(frame) < 20


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_live_view_draws_and_leaves_the_terminal_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    assert Console(file=terminal).is_terminal
    with LiveView(terminal) as view:
        view.show(PROGRESS)
    written = terminal.getvalue()
    assert "/products" in written
    assert written.rindex("\x1b[?25h") > written.rindex("\x1b[?25l"), "the cursor is shown again"


def test_progress_rate_is_that_since_the_last_measurement() -> None:
    stats = stats_of(OK, OK, OK, ("/a", "timeout", 0, 0))
    meter = ProgressMeter(report_of(stats).plan, stats, started_ns=0)
    first, second = meter.measure(2000 * MS, 1), meter.measure(3000 * MS, 0)
    assert (first.rate_per_s, second.rate_per_s) == (2.0, 0.0)
    assert (first.elapsed_s, first.requests, first.failed, first.in_flight) == (2.0, 4, 1, 1)
    assert [(route.route, route.failed, route.p50_ms is None) for route in first.routes] == [
        ("/", 0, False), ("/a", 1, True),
    ]  # fmt: skip
