"""Encode what Loki answers: query results, label lists, tail frames.

    {"status": "success", "data": {"resultType": …, "result": […], "stats": {…}}}

Times in logs are strings of nanoseconds, in metrics numbers of seconds to the millisecond; values are strings.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import orjson

from apimon.loki.model import Labels, QueryResult, ResultType, Sample, Series, format_labels
from apimon.loki.wire.encoding_flags import CATEGORIZE_LABELS

_MS_PER_S = 1_000
_NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class CategorizedEntry:
    """An entry with its structured metadata and what its query made of the line, apart."""

    timestamp_ns: int
    line: str
    metadata: Labels
    parsed: Labels


@dataclass(frozen=True, slots=True)
class CategorizedStream:
    """A stream under the labels of its selector only."""

    labels: Labels
    entries: list[CategorizedEntry]


def merge_labels(labels: Labels, entry: CategorizedEntry) -> dict[str, str]:
    """Return all labels of an entry of this stream, as a client sees them that doesn't ask for them apart."""
    return {**entry.metadata, **labels, **entry.parsed}


def encode_list(items: Sequence[object]) -> bytes:
    """Return a list of names, values or label sets; Loki leaves `data` out where there is none."""
    answer: dict[str, object] = {"status": "success"}
    if items:
        answer["data"] = items
    return orjson.dumps(answer)


def encode_series_list(items: Sequence[Labels]) -> bytes:
    """Return label sets; unlike a list of names, an empty one is there."""
    return orjson.dumps({"status": "success", "data": list(map(dict, items))})


def encode_result(result: QueryResult, stats: Mapping[str, object]) -> bytes:
    """Return a query's answer with `stats` beside it."""
    data: dict[str, object] = {"resultType": result.type.value, "result": _result(result), "stats": stats}
    answer: dict[str, object] = {"status": "success"}
    if result.warnings:
        answer["warnings"] = list(result.warnings)
    answer["data"] = data
    return orjson.dumps(answer)


def encode_categorized(streams: Sequence[CategorizedStream], stats: Mapping[str, object]) -> bytes:
    """Return a log query's answer to a client that set the flag `categorize-labels`."""
    result = [
        {"stream": dict(stream.labels), "values": [_categorized_value(entry) for entry in stream.entries]}
        for stream in streams
    ]
    data = {"resultType": ResultType.STREAMS.value, "encodingFlags": [CATEGORIZE_LABELS], "result": result}
    return orjson.dumps({"status": "success", "data": {**data, "stats": stats}})


def _categorized_value(entry: CategorizedEntry) -> tuple[str, str, dict[str, dict[str, str]]]:
    categories = {"structuredMetadata": dict(entry.metadata), "parsed": dict(entry.parsed)}
    return str(entry.timestamp_ns), entry.line, {name: labels for name, labels in categories.items() if labels}


def _result(result: QueryResult) -> object:
    if result.type is ResultType.STREAMS:
        return [
            {
                "stream": dict(stream.labels),
                "values": [(str(entry.timestamp_ns), entry.line) for entry in stream.entries],
            }
            for stream in result.streams
        ]
    if result.type is ResultType.SCALAR:
        return _sample(result.scalar) if result.scalar else []
    encode_one = _vector_series if result.type is ResultType.VECTOR else _matrix_series
    return [encode_one(series) for series in result.series]


def _vector_series(series: Series) -> dict[str, object]:
    return {"metric": dict(series.labels), "value": _sample(series.samples[0])}


def _matrix_series(series: Series) -> dict[str, object]:
    return {"metric": dict(series.labels), "values": [_sample(sample) for sample in series.samples]}


def _sample(sample: Sample) -> tuple[float, str]:
    milliseconds = sample.timestamp_ns // _NS_PER_MS
    whole, rest = divmod(milliseconds, _MS_PER_S)
    return (milliseconds / _MS_PER_S if rest else whole, format_value(sample.value))


def format_value(value: float) -> str:
    """Return the shortest decimal that reads back as `value`, without an exponent: `3`, `0.5`, `NaN`, `+Inf`."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    text = repr(float(value))
    if "e" in text:
        text = format(Decimal(text), "f")
    return text.removesuffix(".0")


def encode_index_stats(streams: int, entries: int, size: int) -> bytes:
    """Return the answer of `index/stats`, which has no envelope; a stream counts as one chunk."""
    return orjson.dumps({"streams": streams, "chunks": streams, "bytes": size, "entries": entries})


def encode_tail_frame(
    entries: Sequence[tuple[Labels, CategorizedEntry]], dropped: Sequence[tuple[Labels, int]], *, categorized: bool
) -> str:
    """Return one frame of a tail: entries with their streams' labels, in their order, and what its reader missed.

    Neighbours of one label set share a stream; `categorized` leaves metadata and parsed labels with their entries.
    """
    streams: list[dict[str, object]] = []
    values: list[tuple[object, ...]] = []
    last: Labels | None = None
    for stream_labels, entry in entries:
        labels = stream_labels if categorized else merge_labels(stream_labels, entry)
        if labels != last:
            last, values = labels, []
            streams.append({"stream": dict(labels), "values": values})
        values.append(_categorized_value(entry) if categorized else (str(entry.timestamp_ns), entry.line))
    frame: dict[str, object] = {"streams": streams}
    if categorized:
        frame["encodingFlags"] = [CATEGORIZE_LABELS]
    if dropped:
        frame["dropped_entries"] = [
            {"timestamp": str(timestamp_ns), "labels": format_labels(labels)} for labels, timestamp_ns in dropped
        ]
    return orjson.dumps(frame).decode()
