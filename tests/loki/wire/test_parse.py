"""Loki's answers decode to the model, and what is no such answer is a ValueError."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apimon.loki.model import Entry, ResultType, Sample, Series, Stream
from apimon.loki.wire.parse import (
    DroppedEntry,
    parse_error_position,
    parse_names,
    parse_query_answer,
    parse_series,
    parse_tail_frame,
)


def answer(result_type: str, result: object, **more: object) -> bytes:
    data = {"resultType": result_type, "result": result}
    return json.dumps({"status": "success", "data": data, **more}).encode()


def test_streams_have_their_labels_lines_and_metadata() -> None:
    values = [["2", "b", {"structuredMetadata": {"trace": "t"}}], ["1", "a", {}], ["0", "z"]]
    result = parse_query_answer(answer("streams", [{"stream": {"s": "x"}, "values": values}]))
    assert result.type is ResultType.STREAMS
    assert result.streams == [Stream({"s": "x"}, [Entry(2, "b", {"trace": "t"}), Entry(1, "a"), Entry(0, "z")])]


def test_parsed_labels_make_streams_of_their_own() -> None:
    values = [
        ["3", "c", {"parsed": {"p": "1"}}],
        ["2", "b", {"parsed": {"p": "2"}}],
        ["1", "a", {"parsed": {"p": "1"}}],
    ]
    result = parse_query_answer(answer("streams", [{"stream": {"s": "x"}, "values": values}]))
    assert result.streams == [
        Stream({"s": "x", "p": "1"}, [Entry(3, "c"), Entry(1, "a")]),
        Stream({"s": "x", "p": "2"}, [Entry(2, "b")]),
    ]


def test_a_matrix_has_series_of_samples() -> None:
    result = parse_query_answer(answer("matrix", [{"metric": {"a": "b"}, "values": [[1, "0.5"], [2, "+Inf"]]}]))
    assert result.series == [Series({"a": "b"}, [Sample(1_000_000_000, 0.5), Sample(2_000_000_000, float("inf"))])]


def test_a_vector_has_one_sample_a_series_at_the_millisecond_it_was_asked_for() -> None:
    result = parse_query_answer(answer("vector", [{"metric": {}, "value": [1795375896.279, "3"]}]))
    assert result.series == [Series({}, [Sample(1_795_375_896_279_000_000, 3.0)])]


def test_a_scalar_is_a_sample() -> None:
    assert parse_query_answer(answer("scalar", [5, "2"])).scalar == Sample(5_000_000_000, 2.0)


def test_warnings_are_kept() -> None:
    assert parse_query_answer(answer("vector", [], warnings=["w"])).warnings == ("w",)


@pytest.mark.parametrize("result", [None, []])
def test_no_result_is_empty(result: object) -> None:
    assert parse_query_answer(answer("streams", result)).streams == []


def test_a_tail_frame_has_streams_and_what_was_dropped() -> None:
    frame = parse_tail_frame(
        '{"streams":[{"stream":{"a":"b"},"values":[["7","line"]]}],'
        '"dropped_entries":[{"timestamp":"5","labels":{"a":"b"}},{"timestamp":"1970-01-01T00:00:01Z","labels":null}]}'
    )
    assert frame.streams == [Stream({"a": "b"}, [Entry(7, "line")])]
    assert frame.dropped == [DroppedEntry(5, {"a": "b"}), DroppedEntry(1_000_000_000, {})]


def test_a_frame_of_nothing_is_empty() -> None:
    assert parse_tail_frame(b'{"streams":null,"dropped_entries":null}').streams == []


def test_names_and_series_may_be_left_out() -> None:
    assert parse_names(b'{"status":"success"}') == []
    assert parse_names(b'{"status":"success","data":["a"]}') == ["a"]
    assert parse_series(b'{"status":"success","data":[{"a":"b"}]}') == [{"a": "b"}]


@pytest.mark.parametrize(
    "body",
    [
        b"", b"<html>", b"[]", b"{}", b'{"data":[]}', b'{"data":{"resultType":"logs","result":[]}}',
        answer("streams", [{"stream": {}, "values": [["x", "line"]]}]),
        answer("streams", [{"values": []}]), answer("streams", [[1]]),
        answer("streams", [{"stream": {}, "values": [[]]}]),
        answer("vector", [{"metric": {}, "value": [1]}]), answer("scalar", [1, "x"]), answer("scalar", None),
        answer("matrix", [{"metric": {}, "values": [["soon", "1"]]}]),
        answer("matrix", [{"metric": {}, "values": [[1e300, "1"]]}]),
        answer("vector", [{"metric": {"a": 1}, "value": [1, "1"]}]),
        answer("streams", [{"stream": {"a": 5}, "values": [["1", "line"]]}]),
        answer("streams", [{"stream": {}, "values": [["1", 7]]}]),
        answer("streams", [{"stream": {}, "values": [["1", None, {}]]}]),
        answer("streams", [{"stream": {}, "values": [[str(1 << 63), "line"]]}]),
        answer("streams", [{"stream": {}, "values": [["1", "line", {"structuredMetadata": {"a": None}}]]}]),
        answer("streams", [{"stream": {}, "values": [["1", "line", {"parsed": {"a": []}}]]}]),
    ],
)  # fmt: skip
def test_what_is_no_query_answer_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_query_answer(body)


@given(st.binary(max_size=50).filter(lambda body: not body.strip().startswith(b"{")))
def test_random_bytes_are_a_value_error(body: bytes) -> None:
    for parse in (parse_query_answer, parse_tail_frame, parse_names, parse_series):
        with pytest.raises(ValueError, match=r".+"):
            parse(body)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["stream", "values", "parsed"]), inner),
    max_leaves=8,
)


@given(JSON, st.sampled_from(ResultType))
def test_any_other_json_is_an_answer_or_a_value_error(result: object, result_type: ResultType) -> None:
    for parse, body in (
        (parse_query_answer, answer(result_type, result)),
        (parse_tail_frame, json.dumps({"streams": result, "dropped_entries": result}).encode()),
    ):
        try:
            parse(body)
        except ValueError:
            continue


@given(st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.text(st.characters(exclude_categories=["Cs"])))))
def test_timestamps_and_lines_come_through_exactly(entries: list[tuple[int, str]]) -> None:
    values = [[str(timestamp_ns), line] for timestamp_ns, line in entries]
    (stream,) = parse_query_answer(answer("streams", [{"stream": {}, "values": values}])).streams
    assert [(entry.timestamp_ns, entry.line) for entry in stream.entries] == entries


def test_the_position_of_a_parse_error_is_read_from_its_text() -> None:
    assert parse_error_position("parse error at line 2, col 15: syntax error: unexpected }") == (2, 15)
    assert parse_error_position("max entries limit") == (0, 0)
