"""The shipper's pure parts: delays, Retry-After, timestamps."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apimon.loki.shipper.backoff import LONGEST_RETRY_AFTER_S, Backoff
from apimon.loki.shipper.clock import LONGEST_LEAD_NS, RisingClock
from apimon.loki.shipper.transport import parse_retry_after_s


def test_delays_double_up_to_the_longest() -> None:
    backoff = Backoff(1, 10, draw=lambda: 1.0)
    assert [backoff.next_delay_s() for _ in range(6)] == [1, 2, 4, 8, 10, 10]


def test_reset_begins_anew() -> None:
    backoff = Backoff(1, 10, draw=lambda: 1.0)
    backoff.next_delay_s()
    backoff.reset()
    assert backoff.next_delay_s() == 1


@given(st.floats(0, 1, exclude_max=True), st.integers(0, 2_000))
def test_delay_is_in_the_upper_half_of_its_step(drawn: float, failures: int) -> None:
    backoff = Backoff(0.25, 10, draw=lambda: drawn)
    for _ in range(failures):
        backoff.next_delay_s()
    step = min(10, 0.25 * 2 ** min(failures, 60))
    assert step / 2 <= backoff.next_delay_s() <= step


@given(st.floats(0, 1e9))
def test_server_is_not_asked_earlier_than_it_wants(retry_after_s: float) -> None:
    delay_s = Backoff(0.25, 10).next_delay_s(retry_after_s)
    assert min(retry_after_s, LONGEST_RETRY_AFTER_S) <= delay_s <= max(LONGEST_RETRY_AFTER_S, 10)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7),
        (" 0 ", 0),
        ("Sun, 22 Nov 2026 12:00:30 GMT", 30),
        ("Sun, 22 Nov 2026 11:00:00 GMT", 0),
        ("", None),
        ("soon", None),
        ("-3", None),
        ("1.5", None),
        ("²", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, seconds: float | None) -> None:
    assert parse_retry_after_s(value, datetime(2026, 11, 22, 12, tzinfo=UTC)) == seconds


@given(st.lists(st.integers(0, 10 * LONGEST_LEAD_NS)))
def test_stamps_are_unique_and_never_far_ahead(times: list[int]) -> None:
    clock = RisingClock()
    stamps = [clock.stamp_ns(time_ns) for time_ns in times]
    assert all(time_ns <= stamp <= time_ns + LONGEST_LEAD_NS for time_ns, stamp in zip(times, stamps, strict=True))


@given(st.lists(st.integers(0, LONGEST_LEAD_NS // 2)))
def test_stamps_rise_however_the_clock_steps(times: list[int]) -> None:
    clock = RisingClock()
    stamps = [clock.stamp_ns(time_ns) for time_ns in times]
    assert stamps == sorted(set(stamps))


def test_clock_set_back_by_hours_is_followed() -> None:
    clock = RisingClock()
    clock.stamp_ns(20 * LONGEST_LEAD_NS)
    assert clock.stamp_ns(LONGEST_LEAD_NS) == LONGEST_LEAD_NS
