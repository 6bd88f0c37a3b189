"""Answers as a Loki 3.7.6 gives them."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apimon.loki.model import Entry, QueryResult, ResultType, Sample, Series, Stream
from apimon.loki.wire.answers import (
    CategorizedEntry,
    encode_list,
    encode_result,
    encode_series_list,
    encode_tail_frame,
    format_value,
)


def data_of(result: QueryResult) -> dict[str, object]:
    answer = json.loads(encode_result(result, {}))
    assert answer["status"] == "success"
    data: dict[str, object] = answer["data"]
    return data


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"), (-0.0, "-0"), (3.0, "3"), (0.5, "0.5"), (1e21, "1" + "0" * 21), (1e-7, "0.0000001"),
        (math.nan, "NaN"), (math.inf, "+Inf"), (-math.inf, "-Inf"), (2.3194444444444446, "2.3194444444444446"),
    ],
)  # fmt: skip
def test_values_have_no_exponent(value: float, text: str) -> None:
    assert format_value(value) == text


@given(st.floats(allow_nan=False))
def test_values_read_back_exactly(value: float) -> None:
    text = format_value(value)
    assert float(text) == value
    assert "e" not in text.lower()


def test_streams() -> None:
    result = QueryResult(ResultType.STREAMS, streams=[Stream({"a": "b"}, [Entry(1795374954164482446, "line")])])
    assert data_of(result) == {
        "resultType": "streams",
        "result": [{"stream": {"a": "b"}, "values": [["1795374954164482446", "line"]]}],
        "stats": {},
    }


def test_a_matrix_has_seconds_to_the_millisecond_and_whole_ones_without_a_point() -> None:
    samples = [Sample(1795374954_000_000_000, 1.0), Sample(1795374954_500_900_000, 2.5)]
    body = encode_result(QueryResult(ResultType.MATRIX, series=[Series({}, samples)]), {})
    assert b'"values":[[1795374954,"1"],[1795374954.5,"2.5"]]' in body


def test_a_vector_and_a_scalar() -> None:
    sample = Sample(4_000_000_000_000_000_000, 2.0)
    assert data_of(QueryResult(ResultType.VECTOR, series=[Series({"x": "y"}, [sample])]))["result"] == [
        {"metric": {"x": "y"}, "value": [4000000000, "2"]}
    ]
    assert data_of(QueryResult(ResultType.SCALAR, scalar=sample))["result"] == [4000000000, "2"]


def test_warnings_are_beside_the_data() -> None:
    answer = json.loads(encode_result(QueryResult(ResultType.MATRIX, warnings=["careful"]), {}))
    assert answer["warnings"] == ["careful"]


def test_an_empty_list_has_no_data_and_an_empty_list_of_series_has() -> None:
    assert json.loads(encode_list([])) == {"status": "success"}
    assert json.loads(encode_list(["a"])) == {"status": "success", "data": ["a"]}
    assert json.loads(encode_series_list([])) == {"status": "success", "data": []}


def test_neighbours_of_one_label_set_share_a_stream_in_a_frame() -> None:
    a, b = {"x": "a"}, {"x": "b"}
    lines = [(a, 1, "l1"), (dict(a), 2, "l2"), (b, 3, "l3"), (a, 4, "l4")]
    entries = [(labels, CategorizedEntry(timestamp_ns, line, {}, {})) for labels, timestamp_ns, line in lines]
    frame = json.loads(encode_tail_frame(entries, [], categorized=False))
    assert frame == {
        "streams": [
            {"stream": a, "values": [["1", "l1"], ["2", "l2"]]},
            {"stream": b, "values": [["3", "l3"]]},
            {"stream": a, "values": [["4", "l4"]]},
        ]
    }


def test_a_frame_keeps_metadata_and_parsed_labels_apart_where_that_is_asked_for() -> None:
    entry = CategorizedEntry(1, "l", {"trace": "7"}, {"status": "200"})
    merged = json.loads(encode_tail_frame([({"x": "a"}, entry)], [], categorized=False))
    assert merged == {"streams": [{"stream": {"x": "a", "trace": "7", "status": "200"}, "values": [["1", "l"]]}]}
    apart = json.loads(encode_tail_frame([({"x": "a"}, entry)], [], categorized=True))
    categories = {"structuredMetadata": {"trace": "7"}, "parsed": {"status": "200"}}
    assert apart == {
        "streams": [{"stream": {"x": "a"}, "values": [["1", "l", categories]]}],
        "encodingFlags": ["categorize-labels"],
    }


def test_a_frame_says_what_its_reader_missed() -> None:
    frame = json.loads(encode_tail_frame([], [({"x": "a"}, 7)], categorized=False))
    assert frame == {"streams": [], "dropped_entries": [{"timestamp": "7", "labels": '{x="a"}'}]}
