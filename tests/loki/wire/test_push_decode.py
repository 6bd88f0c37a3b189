"""Decoding pushes: what Loki takes, what it refuses, and bodies that are bombs."""

import gzip
import zlib
from contextlib import suppress

import cramjam
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apimon.loki.model import Entry, Stream, format_labels
from apimon.loki.wire.push_decode import (
    PushDecodeError,
    PushedStream,
    PushTooLargeError,
    decode_push_json,
    decode_push_protobuf,
    decompress_push,
    parse_labels,
)
from apimon.loki.wire.push_encode import encode_push

LIMIT = 1 << 20
names = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,8}", fullmatch=True)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
label_sets = st.dictionaries(names, texts, max_size=4)
entries = st.tuples(st.integers(-(1 << 63), (1 << 63) - 1), texts, label_sets)


def json_push(*values: object, stream: object = None) -> bytes:
    return orjson.dumps({"streams": [{"stream": stream or {"a": "b"}, "values": list(values)}]})


@given(st.dictionaries(names, texts, min_size=1, max_size=4), st.lists(entries, min_size=1, max_size=5))
def test_what_the_encoder_writes_is_read_back(
    labels: dict[str, str], rows: list[tuple[int, str, dict[str, str]]]
) -> None:
    body = encode_push([Stream(labels, [Entry(*row) for row in rows])])
    expected = PushedStream(
        labels, [row[0] for row in rows], [row[1] for row in rows], [row[2] or None for row in rows]
    )
    assert decode_push_json(body) == [expected]


@pytest.mark.parametrize("body", [b"{}", b"null", b'{"streams":null}', b'{"streams":[]}', b'{"other":1}'])
def test_a_push_of_nothing_has_no_streams(body: bytes) -> None:
    assert decode_push_json(body) == []


@pytest.mark.parametrize(
    "body",
    [
        b"", b"  ", b"{", b"hello", b"[]", b'"x"', b'{"streams":5}', b'{"streams":[5]}',
        b'{"streams":[{"stream":null}]}',
        b'{"streams":[{"stream":"{a=\\"b\\"}"}]}', b'{"streams":[{"values":5}]}',
        b'{"streams":[{"values":[5]}]}',
        b'{"streams":[{"values":[[]]}]}',
    ],
)  # fmt: skip
def test_a_body_that_is_no_push_is_refused(body: bytes) -> None:
    with pytest.raises(PushDecodeError):
        decode_push_json(body)


@pytest.mark.parametrize(
    "timestamp", [5, None, "", "12x", "1_0", " 1", "+1", "１", "9223372036854775808", "1" * 30, "1.5"]
)
def test_a_timestamp_that_is_no_string_of_digits_is_refused(timestamp: object) -> None:
    with pytest.raises(PushDecodeError):
        decode_push_json(json_push([timestamp, "line"]))


def test_a_negative_timestamp_is_decoded() -> None:
    assert decode_push_json(json_push(["-5", "x"]))[0].timestamps == [-5]


@pytest.mark.parametrize("value", [["1", 5], ["1", None], ["1", "x", 5], ["1", "x", None], ["1", "x", "y"]])
def test_lines_and_metadata_of_another_type_are_refused(value: list[object]) -> None:
    with pytest.raises(PushDecodeError):
        decode_push_json(json_push(value))


@pytest.mark.parametrize("value", [5, None, {"a": "b"}, ["x"], True])
def test_metadata_values_that_are_no_strings_are_refused(value: object) -> None:
    with pytest.raises(PushDecodeError, match="structured metadata 'k'"):
        decode_push_json(json_push(["1", "x", {"k": value}]))


def test_what_loki_is_lenient_about_is_taken() -> None:
    (stream,) = decode_push_json(json_push(["1"], ["2", "x", {}, "more"], stream={"a": 5, "b": {"c": "d"}}))
    assert stream == PushedStream({"a": "5", "b": '{"c":"d"}'}, [1, 2], ["", "x"], [None, None])
    assert decode_push_json(b'{"streams":[{"values":[["1","x"]],"other":1}]}')[0].labels == {}


def test_bytes_that_are_no_utf8_become_replacement_characters() -> None:
    (stream,) = decode_push_json(b'{"streams":[{"stream":{"a":"b"},"values":[["1","x\xff\xfey"]]}]}')
    assert stream.lines == ["x��y"]


@pytest.mark.parametrize(("encoding", "packed"), [("", b"body"), ("snappy", b"body"), ("gzip", gzip.compress(b"body"))])
def test_encodings_are_undone(encoding: str, packed: bytes) -> None:
    assert decompress_push(packed, encoding, LIMIT) == b"body"


@pytest.mark.parametrize("missing", [1, 8, 15])
def test_a_body_that_was_cut_is_refused_even_where_all_its_text_came(missing: int) -> None:
    with pytest.raises(PushDecodeError, match="unexpected EOF"):
        decompress_push(gzip.compress(b"body")[:-missing], "gzip", LIMIT)


def test_deflate_is_raw() -> None:
    raw = zlib.compressobj(wbits=-15)
    assert decompress_push(raw.compress(b"body") + raw.flush(), "deflate", LIMIT) == b"body"
    with pytest.raises(PushDecodeError):
        decompress_push(zlib.compress(b"body"), "deflate", LIMIT)


@pytest.mark.parametrize("encoding", ["br", "identity", "GZIP"])
def test_other_encodings_are_refused(encoding: str) -> None:
    with pytest.raises(PushDecodeError, match="not supported"):
        decompress_push(b"body", encoding, LIMIT)


def test_bodies_over_the_limit_are_too_large_packed_or_unpacked() -> None:
    bomb = b"\0" * (4 * LIMIT)
    for encoding, body in (("", bomb), ("gzip", gzip.compress(bomb))):
        with pytest.raises(PushTooLargeError):
            decompress_push(body, encoding, LIMIT)
    with pytest.raises(PushTooLargeError):
        decode_push_protobuf(bytes(cramjam.snappy.compress_raw(bomb)), LIMIT)


def test_a_snappy_length_that_lies_is_refused() -> None:
    with pytest.raises(PushDecodeError):
        decode_push_protobuf(b"\xff\xff\xff\xff\x0f" + b"x" * 20, LIMIT)


@given(st.binary(max_size=60))
def test_random_bytes_are_refused_or_decoded(body: bytes) -> None:
    for decode in (decode_push_json, lambda data: decode_push_protobuf(data, LIMIT)):
        with suppress(PushDecodeError):
            decode(body)


def varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def field(number: int, payload: bytes | int) -> bytes:
    if isinstance(payload, int):
        return varint(number << 3) + varint(payload)
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def protobuf_push(labels: str, rows: list[tuple[int, str, dict[str, str]]]) -> bytes:
    """Encode by the wire format's own rules, so that the decoder isn't compared with itself."""
    message = field(1, labels.encode())
    for timestamp_ns, line, metadata in rows:
        seconds, nanos = divmod(timestamp_ns, 1_000_000_000)
        entry = field(1, field(1, seconds) + field(2, nanos)) + field(2, line.encode())
        for name, value in metadata.items():
            entry += field(3, field(1, name.encode()) + field(2, value.encode()))
        message += field(2, entry)
    return bytes(cramjam.snappy.compress_raw(field(1, message + field(3, 12345))))


@given(label_sets, st.lists(st.tuples(st.integers(0, (1 << 63) - 1), texts, label_sets), max_size=4))
def test_protobuf_says_the_same_as_json(labels: dict[str, str], rows: list[tuple[int, str, dict[str, str]]]) -> None:
    (stream,) = decode_push_protobuf(protobuf_push(format_labels(labels), rows), LIMIT)
    expected = PushedStream(
        labels, [row[0] for row in rows], [row[1] for row in rows], [row[2] or None for row in rows]
    )
    assert stream == expected


@given(st.dictionaries(names, st.text(st.characters(exclude_categories=["Cs"])), max_size=5))
def test_labels_are_read_as_they_are_formatted(labels: dict[str, str]) -> None:
    assert parse_labels(format_labels(labels)) == labels


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("{}", {}),
        ('{ a = "b" , c="d",}', {"a": "b", "c": "d"}),
        (r'{a="\x41\101B\U00000041\n"}', {"a": "AAAA\n".replace("AAAA", "AABA")}),
        (r'{a="\xff"}', {"a": "�"}),
        ("{a=`b\\n`}", {"a": "b\\n"}),
    ],
)
def test_labels_in_other_forms(text: str, labels: dict[str, str]) -> None:
    assert parse_labels(text) == labels


@pytest.mark.parametrize(
    "text", ["", "a", "{a}", '{a="b}', '{a="b"', '{a="b" c="d"}', '{1a="b"}', '{a.b="c"}', r'{a="\q"}', "{a=b}"]
)
def test_labels_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(PushDecodeError, match="couldn't parse labels"):
        parse_labels(text)
