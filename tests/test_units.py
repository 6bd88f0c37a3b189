from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apimon.units import (
    NS_PER_S,
    format_bytes,
    format_duration_ns,
    format_rfc3339_ns,
    parse_duration_ns,
    parse_duration_s,
    parse_rfc3339_ns,
)

LAST_NS = parse_rfc3339_ns("9999-12-31T23:59:59.999999999Z")


@pytest.mark.parametrize(
    ("text", "expected_ns"),
    [
        ("250ms", 250_000_000),
        ("10s", 10 * NS_PER_S),
        ("5m", 300 * NS_PER_S),
        ("1h30m", 5400 * NS_PER_S),
        ("1.5h", 5400 * NS_PER_S),
        (".5s", 500_000_000),
        ("1h1m1s1ms1us1ns", 3661 * NS_PER_S + 1_001_001),
        ("2µs", 2_000),
        ("2μs", 2_000),
        ("7d", 7 * 86_400 * NS_PER_S),
        ("1w", 7 * 86_400 * NS_PER_S),
        ("1y", 365 * 86_400 * NS_PER_S),
        ("10", 10 * NS_PER_S),
        ("0.25", 250_000_000),
        ("0", 0),
        ("0s", 0),
        ("  3s ", 3 * NS_PER_S),
        ("1s1s", 2 * NS_PER_S),
        ("0.1ns", 0),
        ("9007199254740993ns", 9_007_199_254_740_993),
    ],
)
def test_durations_are_read_exactly(text: str, expected_ns: int) -> None:
    assert parse_duration_ns(text) == expected_ns


@pytest.mark.parametrize(
    "text",
    ["", " ", "ms", "-1s", "+1s", "1 s", "1h 30m", "1x", "s1", "1e3", "1e3s", "inf", "nan", "1s,",
     "1.s", "٣s", "1S", "9" * 5000],
)  # fmt: skip
def test_what_is_no_duration_is_refused_with_the_allowed_forms(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a duration: write 250ms, 10s, 5m, 1h30m or a number of seconds"):
        parse_duration_ns(text)


@given(st.integers(min_value=0, max_value=2**63 - 1))
def test_a_printed_duration_reads_as_the_same_number(duration_ns: int) -> None:
    assert parse_duration_ns(format_duration_ns(duration_ns)) == duration_ns


@given(st.text(max_size=12))
def test_any_text_is_a_duration_or_a_value_error(text: str) -> None:
    with suppress(ValueError):
        assert parse_duration_ns(text) >= 0


def test_a_duration_in_seconds_is_the_same_one() -> None:
    assert parse_duration_s("1m30s250ms") == 90.25


@pytest.mark.parametrize(
    ("duration_ns", "text"),
    [(0, "0s"), (1, "1ns"), (250_000_000, "250ms"), (5400 * NS_PER_S, "1h30m"), (36 * 3600 * NS_PER_S, "36h"),
     (-NS_PER_S, "-1s")],
)  # fmt: skip
def test_durations_print_in_their_shortest_exact_form(duration_ns: int, text: str) -> None:
    assert format_duration_ns(duration_ns) == text


@pytest.mark.parametrize(
    ("text", "expected_ns"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.000000001Z", 1),
        ("1970-01-01T00:00:00.1234567899Z", 123_456_789),
        ("1970-01-01T00:00:00.5z", 500_000_000),
        ("1970-01-01 01:00:00+01:00", 0),
        ("1969-12-31t23:59:59Z", -NS_PER_S),
        ("2026-01-31T12:00:00Z", int(datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp()) * NS_PER_S),
        ("2026-01-31T12:00:00-05:30", int(datetime(2026, 1, 31, 17, 30, tzinfo=UTC).timestamp()) * NS_PER_S),
    ],
)
def test_rfc3339_times_are_read_to_the_nanosecond(text: str, expected_ns: int) -> None:
    assert parse_rfc3339_ns(text) == expected_ns


@pytest.mark.parametrize(
    "text",
    ["", "now", "2026-01-31", "2026-01-31T12:00:00", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z",
     "2026-01-01T24:00:01Z", "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00+25:00", "٢٠٢٦-01-01T00:00:00Z"],
)  # fmt: skip
def test_what_is_no_rfc3339_time_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_rfc3339_ns(text)


@given(st.integers(min_value=-(2**62), max_value=LAST_NS))
def test_a_printed_time_reads_as_the_same_nanosecond(timestamp_ns: int) -> None:
    text = format_rfc3339_ns(timestamp_ns)
    assert parse_rfc3339_ns(text) == timestamp_ns
    assert len(text) == len("2026-01-31T12:00:00.000000000Z")


@given(st.integers(min_value=0, max_value=LAST_NS), st.integers(min_value=0, max_value=LAST_NS))
def test_printed_times_sort_as_the_times_do(one: int, other: int) -> None:
    assert (format_rfc3339_ns(one) < format_rfc3339_ns(other)) == (one < other)


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0B"), (999, "999B"), (1000, "1.0KB"), (1536, "1.5KB"), (2_000_000_000, "2.0GB"), (5 * 10**15, "5000.0TB")],
)
def test_sizes_print_in_powers_of_1000(size: int, text: str) -> None:
    assert format_bytes(size) == text
