"""Pushes as Loki reads them: shapes, order, and text that JSON could choke on."""

import gzip
import json

from hypothesis import given
from hypothesis import strategies as st

from apimon.loki.model import Entry, Stream
from apimon.loki.wire.push_encode import (
    PushCompressor,
    compress_push,
    encode_entry,
    encode_labels,
    encode_push,
    join_push,
)

NAMES = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,8}", fullmatch=True)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
LABELS = st.dictionaries(NAMES, TEXT, max_size=4)
ENTRIES = st.lists(
    st.builds(Entry, st.integers(0, 2**63 - 1), TEXT, st.dictionaries(NAMES, TEXT, max_size=2)), max_size=5
)


@given(LABELS, ENTRIES)
def test_push_holds_labels_and_entries_in_order(labels: dict[str, str], entries: list[Entry]) -> None:
    body = json.loads(encode_push([Stream(labels, entries)]))
    expected = [[str(e.timestamp_ns), e.line, dict(e.metadata)][: 3 if e.metadata else 2] for e in entries]
    assert body == {"streams": [{"stream": labels, "values": expected}]}


def test_streams_of_equal_label_sets_are_joined() -> None:
    streams = [Stream({"a": "1", "b": "2"}, [Entry(1, "x")]), Stream({"b": "2", "a": "1"}, [Entry(2, "y")])]
    assert json.loads(encode_push(streams))["streams"] == [
        {"stream": {"a": "1", "b": "2"}, "values": [["1", "x"], ["2", "y"]]}
    ]


def test_timestamps_are_strings_of_nanoseconds() -> None:
    assert json.loads(encode_entry(1_700_000_000_123_456_789, "l")) == ["1700000000123456789", "l"]


def test_half_a_surrogate_pair_becomes_a_question_mark() -> None:
    assert json.loads(encode_entry(1, "a\ud800b", {"k": "\udfff"})) == ["1", "a?b", {"k": "?"}]
    assert json.loads(encode_labels({"k": "\ud800"})) == {"k": "?"}


def test_parts_encoded_one_by_one_make_the_same_body() -> None:
    whole = encode_push([Stream({"a": "1"}, [Entry(1, "x"), Entry(2, "y")])])
    assert join_push({encode_labels({"a": "1"}): [encode_entry(1, "x"), encode_entry(2, "y")]}) == whole


@given(st.binary(max_size=2000))
def test_compressed_push_is_gzip_and_the_same_each_time(body: bytes) -> None:
    assert gzip.decompress(compress_push(body)) == body
    assert compress_push(body) == compress_push(body)


PARTS = st.dictionaries(
    LABELS.map(encode_labels),
    st.lists(st.builds(encode_entry, st.integers(0), TEXT), max_size=3),
    min_size=1,
    max_size=3,
)


@given(st.lists(PARTS, min_size=1, max_size=5))
def test_push_compressed_bit_by_bit_holds_every_part_in_order(added: list[dict[bytes, list[bytes]]]) -> None:
    push = PushCompressor()
    for parts in added:
        push.add(parts)
    streams = json.loads(gzip.decompress(push.finish()))["streams"]
    expected = [
        {"stream": json.loads(labels), "values": [json.loads(entry) for entry in entries]}
        for parts in added
        for labels, entries in parts.items()
    ]
    assert streams == expected
