"""What people and scripts see of entries and metrics."""

import json
import math
import re
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apimon.loki.model import Entry, QueryResult, ResultType, Sample, Series
from apimon.loki.output import create_format, escape_controls, format_local_time, format_value

RECORD = {
    "message": "GET /products/1 404 12.3ms", "method": "GET", "path": "/products/1",
    "endpoint": "/products/{product_id}", "query": "a=1", "status_code": 404, "duration_ms": 12.34, "user_id": "alice",
}  # fmt: skip
LABELS = {"service": "shop", "level": "warning"}
NOON_NS = 1_800_000_000_123_456_789


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def show(record: dict[str, object], labels: dict[str, str] = LABELS) -> str:
    return create_format("default").format_entry(labels, Entry(NOON_NS, json.dumps(record)))


def test_a_request_is_one_readable_line() -> None:
    assert show(RECORD) == (
        "2027-01-15 08:00:00.123 warning 404 GET    /products/1?a=1                     12.3ms user=alice"
    )


def test_what_went_wrong_is_said_behind_the_request() -> None:
    record = RECORD | {
        "user_id": "anonymous",
        "exception": {"type": "ValueError", "message": "no\nway"},
        "aborted": True,
    }
    assert show(record).endswith(r" aborted ValueError: no\nway")
    assert show(RECORD | {"duration_ms": 2500, "user_id": ""}).endswith("2.50s")


@pytest.mark.parametrize(
    "line",
    ["plain", "{not json", "[]", '{"method":"GET"}', '{"method":1,"status_code":2}', '{"event":"b"}', "7"],
)
def test_any_other_line_is_shown_with_its_labels(line: str) -> None:
    shown = create_format("default").format_entry({"service": "shop"}, Entry(NOON_NS, line))
    assert shown == f'2027-01-15 08:00:00.123 {{service="shop"}} {line}'


def test_nothing_logged_can_drive_the_terminal() -> None:
    evil = "\x1b[2J\r\x07\x9b31m\u202e\n"
    shown = create_format("default").format_entry({"service": evil}, Entry(NOON_NS, evil))
    assert not re.search("[\x00-\x1f\x7f-\x9f\u202e]", shown)
    assert escape_controls("a\tb\x1b\n\u202e") == r"a" + "\t" + r"b\x1b\n\u202e"


@given(st.text(), st.dictionaries(st.text(), st.text()))
def test_default_output_is_always_one_line(line: str, record: dict[str, str]) -> None:
    for logged in (line, json.dumps(record | {"method": line, "path": line, "status_code": line})):
        shown = create_format("default").format_entry({"level": line}, Entry(NOON_NS, logged))
        assert len(shown.splitlines()) == 1


def test_colour_comes_only_when_it_is_asked_for() -> None:
    entry = Entry(NOON_NS, json.dumps(RECORD))
    colored = create_format("default", color=True).format_entry(LABELS, entry)
    assert "\x1b[33m404" in colored
    assert re.sub(r"\x1b\[[0-9;]+m", "", colored) == create_format("default").format_entry(LABELS, entry)


def test_raw_is_the_line_as_it_was_stored() -> None:
    assert create_format("raw").format_entry(LABELS, Entry(1, "a\x1b b")) == "a\x1b b"


def test_jsonl_has_time_labels_and_line() -> None:
    shown = create_format("jsonl").format_entry(LABELS, Entry(NOON_NS, "a\nb", {"trace": "t"}))
    assert json.loads(shown) == {
        "timestamp": "2027-01-15T08:00:00.123456789Z", "labels": LABELS | {"trace": "t"}, "line": "a\nb",
    }  # fmt: skip
    assert "\n" not in shown


MATRIX = QueryResult(
    ResultType.MATRIX,
    series=[
        Series({"endpoint": "/a"}, [Sample(NOON_NS, 2.0), Sample(NOON_NS + 10**9, 0.125)]),
        Series({"method": "GET", "endpoint": "/bb"}, [Sample(NOON_NS, math.nan)]),
    ],
)


def test_metrics_are_an_aligned_table() -> None:
    assert list(create_format("default").format_metrics(MATRIX)) == [
        "TIME                     ENDPOINT  METHOD  VALUE",
        "2027-01-15 08:00:00.123  /a                    2",
        "2027-01-15 08:00:01.123  /a                0.125",
        "2027-01-15 08:00:00.123  /bb       GET       NaN",
    ]
    assert list(create_format("raw").format_metrics(MATRIX)) == list(create_format("default").format_metrics(MATRIX))


def test_metrics_as_jsonl_are_an_object_a_sample() -> None:
    samples = [json.loads(line) for line in create_format("jsonl").format_metrics(MATRIX)]
    first = {"timestamp": "2027-01-15T08:00:00.123456789Z", "labels": {"endpoint": "/a"}, "value": 2}
    assert samples[0] == first
    assert [sample["value"] for sample in samples] == [2, 0.125, "NaN"]


def test_a_scalar_is_one_row_and_no_data_is_no_table() -> None:
    scalar = QueryResult(ResultType.SCALAR, scalar=Sample(NOON_NS, 2.0))
    assert list(create_format("default").format_metrics(scalar))[1].split() == ["2027-01-15", "08:00:00.123", "2"]
    assert list(create_format("default").format_metrics(QueryResult(ResultType.VECTOR))) == []


def test_values_are_shortest_and_exact() -> None:
    assert [format_value(value) for value in (3.0, 0.1, 1e300, -math.inf, math.inf)] == [
        "3", "0.1", "1e+300", "-Inf", "+Inf",
    ]  # fmt: skip


@given(st.integers(-(2**62), 2**62))
def test_every_timestamp_has_a_local_time(timestamp_ns: int) -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}", format_local_time(timestamp_ns))
