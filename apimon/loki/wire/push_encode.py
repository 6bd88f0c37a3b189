"""Encode pushes: the JSON body of `POST /loki/api/v1/push`.

    {"streams": [{"stream": {name: value}, "values": [["<Unix ns>", "line", {name: value}]]}]}

The third element, structured metadata, is there only where there is some. A body can be built whole (`encode_push`), or
from entries that were encoded one by one as they came (`encode_labels`, `encode_entry`, `PushCompressor`).
"""

import zlib
from collections.abc import Iterable, Mapping

import orjson

from apimon.loki.model import Labels, Stream

PUSH_PATH = "/loki/api/v1/push"
"""Where a push goes, below Loki's base URL."""

PUSH_HEADERS: Mapping[str, str] = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
"""What says to Loki how `compress_push` and the encoders here wrote the body."""

_HEAD = b'{"streams":['
_TAIL = b"]}"

_GZIP_LEVEL = 1
"""Level 6 costs twice the time and saves an eighth of the bytes."""
_GZIP_WINDOW_BITS = 31
"""zlib's number for the largest window with a gzip header round it."""


def encode_push(streams: Iterable[Stream]) -> bytes:
    """Return the body of a push of `streams`; entries keep their order, equal label sets become one stream."""
    parts: dict[bytes, list[bytes]] = {}
    for stream in streams:
        entries = parts.setdefault(encode_labels(stream.labels), [])
        entries.extend(encode_entry(entry.timestamp_ns, entry.line, entry.metadata) for entry in stream.entries)
    return join_push(parts)


def encode_labels(labels: Labels) -> bytes:
    """Return the label set as JSON, names sorted, so that equal sets give equal bytes."""
    return _dumps(dict(sorted(labels.items())))


def encode_entry(timestamp_ns: int, line: str, metadata: Labels | None = None) -> bytes:
    """Return one element of `values`."""
    if metadata:
        return _dumps((str(timestamp_ns), line, dict(metadata)))
    return _dumps((str(timestamp_ns), line))


def join_push(parts: Mapping[bytes, Iterable[bytes]]) -> bytes:
    """Return the body made of encoded label sets and their encoded entries, in the mapping's order."""
    return _HEAD + _join_streams(parts) + _TAIL


class PushCompressor:
    """A push that is compressed while its entries come, so that they needn't be kept: some thirty times less memory.

    A label set that comes again is written again; Loki joins them, and keeps the order of a stream's entries.
    """

    def __init__(self) -> None:
        self._gzip = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW_BITS)
        self._chunks: list[bytes] = []

    def add(self, parts: Mapping[bytes, Iterable[bytes]]) -> None:
        """Append encoded entries under their encoded label sets; other threads run meanwhile."""
        before = b"," if self._chunks else _HEAD
        self._chunks.append(self._gzip.compress(before + _join_streams(parts)))

    def finish(self) -> bytes:
        """Return the whole body, compressed as `compress_push` does; at least one entry must have been added."""
        self._chunks.append(self._gzip.compress(_TAIL) + self._gzip.flush())
        return b"".join(self._chunks)


def compress_push(body: bytes) -> bytes:
    """Return `body` as gzip; the same body gives the same bytes. Other threads run meanwhile."""
    return zlib.compress(body, _GZIP_LEVEL, _GZIP_WINDOW_BITS)


def _join_streams(parts: Mapping[bytes, Iterable[bytes]]) -> bytes:
    return b",".join(
        b'{"stream":' + labels + b',"values":[' + b",".join(entries) + b"]}" for labels, entries in parts.items()
    )


def _dumps(value: object) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:
        return orjson.dumps(_without_surrogates(value))


def _without_surrogates(value: object) -> object:
    # A server may hand on a path with half a surrogate pair, which no UTF-8 can hold: `?` stands for it.
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_without_surrogates(item) for item in value]
    return value
