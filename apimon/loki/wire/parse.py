"""Decode Loki's answers: queries, tail frames, labels and series.

Shapes are those of Loki's HTTP API, asked with `X-Loki-Response-Encoding-Flags: categorize-labels`: a value's third
element then tells structured metadata and parsed labels from the stream's own. Parsed labels join the stream's,
metadata stays with the entry. Without the flag Loki merges all three into the stream's labels: that decodes as well.

Whatever is not such an answer is a ValueError.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import orjson

from apimon.loki.model import Entry, Labels, QueryResult, ResultType, Sample, Series, Stream, labels_key
from apimon.units import NS_PER_S, parse_rfc3339_ns

_TIMESTAMP_END_NS = 1 << 63
_ERROR_POSITION = re.compile(r"parse error at line (\d+), col (\d+): ")


@dataclass(frozen=True, slots=True)
class DroppedEntry:
    """An entry that a tail left out because its reader was too slow."""

    timestamp_ns: int
    labels: Labels


@dataclass(frozen=True, slots=True)
class TailFrame:
    """One message of a tail."""

    streams: Sequence[Stream]
    dropped: Sequence[DroppedEntry] = ()


def parse_query_answer(body: bytes) -> QueryResult:
    """Return the result of a `query` or `query_range`; raises ValueError."""
    document = _load_object(body)
    try:
        data = document["data"]
        result_type = ResultType(data["resultType"])
        return _parse_result(result_type, data["result"] or [], tuple(document.get("warnings") or ()))
    except (AttributeError, KeyError, IndexError, TypeError, ArithmeticError) as exc:
        raise _not_an_answer("query", exc) from exc


def parse_tail_frame(body: bytes | str) -> TailFrame:
    """Return one frame of a tail; raises ValueError."""
    document = _load_object(body)
    try:
        streams = _parse_streams(document.get("streams") or [])
        dropped = [_parse_dropped(item) for item in document.get("dropped_entries") or ()]
    except (AttributeError, KeyError, IndexError, TypeError) as exc:
        raise _not_an_answer("tail", exc) from exc
    return TailFrame(streams, dropped)


def parse_names(body: bytes) -> list[str]:
    """Return the names or values of a `labels` or `label/<name>/values` answer, in Loki's order; raises ValueError."""
    names = _load_object(body).get("data") or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("the data of a labels answer is a list of strings")
    return names


def parse_series(body: bytes) -> list[Labels]:
    """Return the label sets of a `series` answer, in Loki's order; raises ValueError."""
    label_sets = _load_object(body).get("data") or []
    if not isinstance(label_sets, list) or not all(isinstance(labels, dict) for labels in label_sets):
        raise ValueError("the data of a series answer is a list of label sets")
    return label_sets


def parse_error_position(body: str) -> tuple[int, int]:
    """Return line and column, from 1, of the parse error that the text tells of; zeros where it tells none."""
    match = _ERROR_POSITION.search(body)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _load_object(body: bytes | str) -> dict[str, Any]:
    document = orjson.loads(body)  # its error is a ValueError
    if not isinstance(document, dict):
        raise ValueError("an answer is a JSON object")
    return document


def _not_an_answer(kind: str, exc: Exception) -> ValueError:
    return ValueError(f"not the {kind} answer of a Loki: {type(exc).__name__}: {exc}")


def _parse_result(result_type: ResultType, result: Sequence[Any], warnings: tuple[str, ...]) -> QueryResult:
    if result_type is ResultType.STREAMS:
        return QueryResult(result_type, streams=_parse_streams(result), warnings=warnings)
    if result_type is ResultType.SCALAR:
        return QueryResult(result_type, scalar=_parse_sample(result), warnings=warnings)
    key = "value" if result_type is ResultType.VECTOR else "values"
    series = [_parse_one_series(item["metric"], [item[key]] if key == "value" else item[key]) for item in result]
    return QueryResult(result_type, series=series, warnings=warnings)


def _parse_one_series(labels: Labels, values: Sequence[Any]) -> Series:
    return Series(_parse_labels(labels), [_parse_sample(value) for value in values])


def _parse_sample(value: Sequence[Any]) -> Sample:
    seconds, text = value
    # A float of seconds has no room for nanoseconds, but its shortest decimal form is what Loki wrote.
    whole = seconds * NS_PER_S if isinstance(seconds, int) else int(Decimal(repr(seconds)) * NS_PER_S)
    return Sample(_check_timestamp(whole), float(text))


def _parse_labels(labels: object) -> Labels:
    if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
        raise ValueError("labels are an object of strings")
    return labels


def _check_timestamp(timestamp_ns: int) -> int:
    if not -_TIMESTAMP_END_NS <= timestamp_ns < _TIMESTAMP_END_NS:
        raise ValueError("a timestamp is a signed integer of 64 bits")
    return timestamp_ns


def _parse_streams(items: Iterable[Any]) -> list[Stream]:
    streams: list[Stream] = []
    for item in items:
        streams.extend(_parse_stream(_parse_labels(item["stream"]), item["values"] or []))
    return streams


def _parse_stream(labels: Labels, values: Sequence[Any]) -> Iterable[Stream]:
    if not any(len(value) > 2 and value[2].get("parsed") for value in values):
        return [Stream(labels, [_parse_entry(value) for value in values])]
    return _split_by_parsed_labels(labels, values)


def _split_by_parsed_labels(labels: Labels, values: Sequence[Any]) -> Iterable[Stream]:
    streams: dict[tuple[tuple[str, str], ...], tuple[Labels, list[Entry]]] = {}
    for value in values:
        parsed = _parse_labels(value[2].get("parsed") or {}) if len(value) > 2 else {}
        _, entries = streams.setdefault(labels_key(parsed), ({**labels, **parsed}, []))
        entries.append(_parse_entry(value))
    return [Stream(merged, entries) for merged, entries in streams.values()]


def _parse_dropped(item: dict[str, Any]) -> DroppedEntry:
    timestamp = str(item["timestamp"])
    # The documentation has nanoseconds here, the server's JSON RFC 3339.
    timestamp_ns = int(timestamp) if timestamp.isdecimal() else parse_rfc3339_ns(timestamp)
    return DroppedEntry(_check_timestamp(timestamp_ns), _parse_labels(item.get("labels") or {}))


_NO_METADATA: Labels = {}


def _parse_entry(value: Sequence[Any]) -> Entry:
    timestamp_ns, line = _check_timestamp(int(value[0])), value[1]
    if not isinstance(line, str):
        raise ValueError("a line is a string")
    if len(value) == 2:
        return Entry(timestamp_ns, line, _NO_METADATA)
    return Entry(timestamp_ns, line, _parse_labels(value[2].get("structuredMetadata") or _NO_METADATA))
