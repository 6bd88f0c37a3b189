"""Decode pushes: the JSON and the snappy-protobuf body of `POST /loki/api/v1/push`.

As lenient as Loki where Loki is (a missing stream, a value without a line, a label that is a number, bytes that are no
UTF-8), as strict where it is strict (timestamps are strings of digits, structured metadata holds strings). Limits on
labels, lines and times are not here: they are the server's.
"""

import re
import zlib
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import cramjam
import orjson

_MIN_NS, _MAX_NS = -(1 << 63), (1 << 63) - 1
_TIMESTAMP = re.compile(r"-?[0-9]{1,19}", re.ASCII)
_RAW_DEFLATE = -15
_GZIP = 31

_LABEL = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*("(?:[^"\\]|\\.)*"|`[^`]*`)\s*', re.ASCII | re.DOTALL)
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{3}|[abfnrtv\\'\"])")
_SHORT_ESCAPES = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92, "'": 39, '"': 34}


class PushDecodeError(ValueError):
    """A body that is no push; nothing of it may be stored."""


class PushTooLargeError(PushDecodeError):
    """A body that is larger, as it came or unpacked, than the server takes."""


@dataclass(slots=True)
class PushedStream:
    """One stream of a push, in columns: the n-th timestamp (Unix ns), line and metadata are one entry."""

    labels: dict[str, str]
    timestamps: list[int] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    metadata: list[dict[str, str] | None] = field(default_factory=list)


def decompress_push(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """Return the body that `Content-Encoding` says was packed; raises PushTooLargeError past `max_bytes`."""
    if len(body) > max_bytes:
        raise PushTooLargeError(
            f"push of {len(body)} bytes is over the limit of {max_bytes} bytes: send smaller batches"
        )
    if encoding in ("", "snappy"):  # the protobuf form is snappy by itself, and Loki ignores the header on JSON
        return body
    if encoding == "gzip":
        return _inflate(body, _GZIP, max_bytes)
    if encoding == "deflate":
        return _inflate(body, _RAW_DEFLATE, max_bytes)
    raise PushDecodeError(f'Content-Encoding "{encoding}" not supported')


def _inflate(body: bytes, window_bits: int, max_bytes: int) -> bytes:
    inflater = zlib.decompressobj(window_bits)
    try:
        plain = inflater.decompress(body, max_bytes + 1)
    except zlib.error as exc:
        raise PushDecodeError(f"body is not what Content-Encoding says: {exc}") from exc
    if len(plain) > max_bytes:
        raise PushTooLargeError(f"push is over the limit of {max_bytes} bytes unpacked: send smaller batches")
    if not inflater.eof:
        raise PushDecodeError("unexpected EOF: body ends before what Content-Encoding says does")
    return plain


def decode_push_json(body: bytes) -> list[PushedStream]:
    """Return the streams of a JSON body, as they stand there; raises PushDecodeError."""
    if not body.strip():
        raise PushDecodeError("EOF")
    document = _load_json(body)
    if document is None:
        return []
    if not isinstance(document, dict):
        raise PushDecodeError(f"a push is a JSON object, not {_json_kind(document)}")
    streams = document.get("streams")
    if streams is None:
        return []
    if not isinstance(streams, list):
        raise PushDecodeError(f"streams is a list, not {_json_kind(streams)}")
    return [_decode_stream(stream) for stream in streams]


def _load_json(body: bytes) -> object:
    try:
        return _loads(body)
    except orjson.JSONDecodeError as exc:
        error = exc
    try:
        # Loki stores bytes that are no UTF-8 as they are and shows them as U+FFFD.
        return _loads(body.decode("utf-8", "replace"))
    except orjson.JSONDecodeError:
        raise PushDecodeError(f"push is not valid JSON: {error}") from error


def _loads(body: bytes | str) -> object:
    document: object = orjson.loads(body)
    return document


def _json_kind(value: object) -> str:
    kinds = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return kinds.get(type(value), "a number")


def _decode_stream(stream: object) -> PushedStream:
    if not isinstance(stream, dict):
        raise PushDecodeError(f"a stream is an object with stream and values, not {_json_kind(stream)}")
    labels = stream.get("stream", {})
    if not isinstance(labels, dict):
        raise PushDecodeError(f"stream is an object of labels, not {_json_kind(labels)}")
    decoded = PushedStream({name: _label_value(value) for name, value in labels.items()})
    values = stream.get("values")
    if values is None:
        return decoded
    if not isinstance(values, list):
        raise PushDecodeError(f"values is a list, not {_json_kind(values)}")
    for value in values:
        _decode_value(decoded, value)
    return decoded


def _label_value(value: object) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _decode_value(stream: PushedStream, value: object) -> None:
    if not isinstance(value, list) or not value:
        raise PushDecodeError(f'a value is a list ["<Unix ns>", "line"], not {_json_kind(value)}')
    line = value[1] if len(value) > 1 else ""
    if not isinstance(line, str):
        raise PushDecodeError(f"a line is a string, not {_json_kind(line)}")
    stream.timestamps.append(_decode_timestamp(value[0]))
    stream.lines.append(line)
    stream.metadata.append(_decode_metadata(value[2]) if len(value) > 2 else None)


def _decode_timestamp(text: object) -> int:
    if not isinstance(text, str) or not _TIMESTAMP.fullmatch(text):
        raise PushDecodeError(f"timestamp {text!r} is not a string of Unix nanoseconds")
    timestamp_ns = int(text)
    if not _MIN_NS <= timestamp_ns <= _MAX_NS:
        raise PushDecodeError(f"timestamp {text!r} is not a 64-bit number of Unix nanoseconds")
    return timestamp_ns


def _decode_metadata(metadata: object) -> dict[str, str] | None:
    if not isinstance(metadata, dict):
        raise PushDecodeError(f"structured metadata is an object of strings, not {_json_kind(metadata)}")
    for name, value in metadata.items():
        if not isinstance(value, str):
            raise PushDecodeError(f"structured metadata {name!r} is a string, not {_json_kind(value)}")
    return metadata or None


def decode_push_protobuf(body: bytes, max_bytes: int) -> list[PushedStream]:
    """Return the streams of a `logproto.PushRequest` packed as one snappy block; raises PushDecodeError."""
    plain = _unsnappy(body, max_bytes)
    message = _push_request()()
    try:
        message.ParseFromString(plain)
    except Exception as exc:  # protobuf's DecodeError; the class isn't imported before somebody pushes protobuf
        raise PushDecodeError(f"push is not a valid PushRequest: {exc}") from exc
    return [_decode_proto_stream(stream) for stream in message.streams]


def _unsnappy(body: bytes, max_bytes: int) -> bytes:
    try:
        size = cramjam.snappy.decompress_raw_len(body)
        if size > max_bytes:
            raise PushTooLargeError(
                f"push of {size} bytes unpacked is over the limit of {max_bytes} bytes: send smaller batches"
            )
        return bytes(cramjam.snappy.decompress_raw(body))
    except cramjam.DecompressionError as exc:
        raise PushDecodeError("snappy: corrupt input") from exc


def _decode_proto_stream(stream: Any) -> PushedStream:  # noqa: ANN401  # a class made at run time
    decoded = PushedStream(parse_labels(_text(stream.labels)))
    for entry in stream.entries:
        timestamp_ns = entry.timestamp.seconds * 1_000_000_000 + entry.timestamp.nanos
        if not _MIN_NS <= timestamp_ns <= _MAX_NS:
            raise PushDecodeError(f"timestamp of {entry.timestamp.seconds} s is not a 64-bit number of nanoseconds")
        decoded.timestamps.append(timestamp_ns)
        decoded.lines.append(_text(entry.line))
        decoded.metadata.append({_text(pair.name): _text(pair.value) for pair in entry.metadata} or None)
    return decoded


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


@cache
def _push_request() -> Any:  # noqa: ANN401  # a class made at run time
    """Return the message class, described here by field number so that no generated file is kept.

    Strings are declared as bytes: protobuf would refuse a whole push for one byte that is no UTF-8.
    """
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    proto = descriptor_pb2.FieldDescriptorProto
    one, many = proto.LABEL_OPTIONAL, proto.LABEL_REPEATED
    raw, int32, int64, message = proto.TYPE_BYTES, proto.TYPE_INT32, proto.TYPE_INT64, proto.TYPE_MESSAGE
    fields: dict[str, list[tuple[str, int, Any, Any, str]]] = {
        "Timestamp": [("seconds", 1, int64, one, ""), ("nanos", 2, int32, one, "")],
        "LabelPair": [("name", 1, raw, one, ""), ("value", 2, raw, one, "")],
        "Entry": [
            ("timestamp", 1, message, one, "Timestamp"),
            ("line", 2, raw, one, ""),
            ("metadata", 3, message, many, "LabelPair"),
        ],
        "Stream": [("labels", 1, raw, one, ""), ("entries", 2, message, many, "Entry")],
        "PushRequest": [("streams", 1, message, many, "Stream")],
    }
    file = descriptor_pb2.FileDescriptorProto(name="apimon/push.proto", package="apimon", syntax="proto3")
    for name, members in fields.items():
        described = file.message_type.add(name=name)
        for member, number, kind, label, type_name in members:
            described.field.add(
                name=member,
                number=number,
                type=kind,
                label=label,
                type_name=f".apimon.{type_name}" if type_name else None,
            )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("apimon.PushRequest"))


def parse_labels(text: str) -> dict[str, str]:
    """Return the labels of `{a="1", b="2"}`, the inverse of `model.format_labels`; raises PushDecodeError."""
    inner = text.strip()
    if not inner.startswith("{") or not inner.endswith("}"):
        raise PushDecodeError(f"couldn't parse labels: {text!r} is not in braces")
    labels: dict[str, str] = {}
    position, end = 1, len(inner) - 1
    while inner[position:end].strip():
        match = _LABEL.match(inner, position, end)
        if match is None:
            raise PushDecodeError(f'couldn\'t parse labels: {text!r} has no name="value" at position {position}')
        labels[match[1]] = _unquote(match[2])
        position = match.end()
        if position < end and inner[position] != ",":
            raise PushDecodeError(f"couldn't parse labels: {text!r} has no comma at position {position}")
        position += 1
    return labels


def _unquote(quoted: str) -> str:
    inner = quoted[1:-1]
    if quoted[0] == "`" or "\\" not in inner:
        return inner
    parts: list[bytes] = []
    position = 0
    while (backslash := inner.find("\\", position)) >= 0:
        escape = _ESCAPE.match(inner, backslash)
        if escape is None:
            raise PushDecodeError(f"couldn't parse labels: {quoted} has an unknown escape")
        parts += (inner[position:backslash].encode(), _unescape(escape[1]))
        position = escape.end()
    parts.append(inner[position:].encode())
    return b"".join(parts).decode("utf-8", "replace")


def _unescape(escape: str) -> bytes:
    # \x and octal are bytes, \u and \U are characters, as in Go.
    if escape[0] in "uU":
        code = int(escape[1:], 16)
        return chr(code).encode("utf-8", "replace") if code <= 0x10FFFF else b"\xef\xbf\xbd"
    if escape[0] == "x":
        return bytes([int(escape[1:], 16)])
    if escape[0].isdigit():
        return bytes([int(escape, 8) & 0xFF])
    return bytes([_SHORT_ESCAPES[escape]])
