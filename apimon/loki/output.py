"""What `query` and `tail` print: one small class an output format.

Pure: entries and samples to text; where it goes, and whether in colour, is the caller's. Lines end without a newline.
"""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Protocol

import orjson

from apimon.loki.model import Entry, Labels, QueryResult, ResultType, Sample, Series, format_labels
from apimon.units import NS_PER_S, format_rfc3339_ns


class OutputFormat(Protocol):
    """How entries and metrics are written."""

    def format_entry(self, labels: Labels, entry: Entry, /) -> str:
        """Return one entry as a line of output."""
        ...

    def format_metrics(self, result: QueryResult) -> Iterator[str]:
        """Yield the lines of a vector, matrix or scalar."""
        ...


class RawFormat:
    """The line as it was stored, and nothing else."""

    def format_entry(self, _labels: Labels, entry: Entry, /) -> str:
        """Return the line, byte for byte: newlines and control characters in it stay."""
        return entry.line

    def format_metrics(self, result: QueryResult) -> Iterator[str]:
        """Yield the samples as `DefaultFormat` does: they have no line of their own."""
        return format_table(result)


class JsonlFormat:
    """A JSON object a line: `timestamp` (RFC 3339, UTC, nanoseconds), `labels`, and `line` or `value`."""

    def format_entry(self, labels: Labels, entry: Entry, /) -> str:
        """Return the entry; its structured metadata is among the labels, as in Loki's own answers."""
        document = {
            "timestamp": format_rfc3339_ns(entry.timestamp_ns),
            "labels": {**labels, **entry.metadata} if entry.metadata else labels,
            "line": entry.line,
        }
        return orjson.dumps(document).decode()

    def format_metrics(self, result: QueryResult) -> Iterator[str]:
        """Yield the samples, series by series, each oldest first. NaN and infinities are strings, as in Loki."""
        for series in all_series(result):
            for sample in series.samples:
                document = {
                    "timestamp": format_rfc3339_ns(sample.timestamp_ns),
                    "labels": series.labels,
                    "value": _json_number(sample.value),
                }
                yield orjson.dumps(document).decode()


class DefaultFormat:
    """A line a request, for people: local time, level, status, method, path, duration, user, what went wrong.

    A line that is no request's record is shown with its labels. Control characters are shown as escapes, so that
    nothing that was logged can drive the terminal.
    """

    def __init__(self, *, color: bool = False) -> None:
        self._paint = _Paint(enabled=color)

    def format_entry(self, labels: Labels, entry: Entry, /) -> str:
        """Return the entry on one line, whatever is in it."""
        time = self._paint.dim(format_local_time(entry.timestamp_ns))
        record = _parse_record(entry.line)
        level = labels.get("level", "")
        if record is None:
            shown_level = [self._paint.by_level(level, escape_controls(level))] if level else []
            return " ".join([time, *shown_level, self._paint.dim(format_labels(labels)), escape_controls(entry.line)])
        return " ".join([time, *self._request_columns(level, record)]).rstrip()

    def format_metrics(self, result: QueryResult) -> Iterator[str]:
        """Yield an aligned table: a row a sample, a column a label."""
        return format_table(result)

    def _request_columns(self, level: str, record: dict[str, Any]) -> Iterator[str]:
        status = _text(record, "status_code")
        yield self._paint.by_level(level, f"{escape_controls(level):<7}")
        yield self._paint.by_status(status, f"{status:<3}")
        yield f"{_text(record, 'method'):<6}"
        yield f"{_target(record):<32}"
        yield f"{_duration(record):>9}"
        yield from _remarks(record)


_TIME_CACHE: dict[int, str] = {}


def format_local_time(timestamp_ns: int) -> str:
    """Return Unix nanoseconds as local date and time to the millisecond, cut."""
    seconds, fraction_ns = divmod(timestamp_ns, NS_PER_S)
    text = _TIME_CACHE.get(seconds)
    if text is None:
        # Lines come in runs of one second, and formatting a date is most of what a line costs.
        _TIME_CACHE.clear()
        text = _TIME_CACHE[seconds] = datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    return f"{text}.{fraction_ns // 1_000_000:03d}"


_CONTROLS = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Control characters but the tab, line separators, and what turns the writing direction round."""
_SHORT_ESCAPES = {"\n": "\\n", "\r": "\\r"}


def escape_controls(text: str) -> str:
    r"""Return the text with control characters as visible escapes: `\n`, `\x1b`, `\u202e`."""
    return _CONTROLS.sub(_escape_control, text)


def _escape_control(match: re.Match[str]) -> str:
    code = ord(match[0])
    return _SHORT_ESCAPES.get(match[0]) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")


def all_series(result: QueryResult) -> Sequence[Series]:
    """Return the series of a vector or matrix; a scalar is one series without labels."""
    if result.type is ResultType.SCALAR and result.scalar is not None:
        return [Series({}, [result.scalar])]
    return result.series


def format_table(result: QueryResult) -> Iterator[str]:
    """Yield a heading and a row a sample, series by series, each oldest first; nothing where there is no sample."""
    series = all_series(result)
    names = sorted({name for one in series for name in one.labels})
    rows = [_row(names, one.labels, sample) for one in series for sample in one.samples]
    if not rows:
        return
    heading = ["TIME", *(name.upper() for name in names), "VALUE"]
    widths = [max(len(row[column]) for row in (heading, *rows)) for column in range(len(heading))]
    for row in (heading, *rows):
        *texts, value = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join([*texts, value.strip().rjust(widths[-1])])


def _row(names: Iterable[str], labels: Labels, sample: Sample) -> list[str]:
    cells = (escape_controls(labels.get(name, "")) for name in names)
    return [format_local_time(sample.timestamp_ns), *cells, format_value(sample.value)]


def format_value(value: float) -> str:
    """Return a sample's value as Loki writes it: shortest form, `NaN`, `+Inf`, `-Inf`."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def _json_number(value: float) -> float | int | str:
    if not math.isfinite(value):
        return format_value(value)
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def _parse_record(line: str) -> dict[str, Any] | None:
    """Return the fields of a request's record; None for any other line."""
    if not line.startswith("{"):
        return None
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if record.get("event", "request") != "request" or not all(name in record for name in ("method", "status_code")):
        return None
    return record if "path" in record or "endpoint" in record else None


def _text(record: dict[str, Any], name: str) -> str:
    value = record.get(name)
    return "" if value is None else escape_controls(str(value))


def _target(record: dict[str, Any]) -> str:
    query = _text(record, "query")
    path = _text(record, "path") or _text(record, "endpoint")
    return f"{path}?{query}" if query else path


def _duration(record: dict[str, Any]) -> str:
    duration_ms = record.get("duration_ms")
    if not isinstance(duration_ms, int | float) or isinstance(duration_ms, bool):
        return ""
    return f"{duration_ms / 1000:.2f}s" if duration_ms >= 1000 else f"{duration_ms:.1f}ms"


def _remarks(record: dict[str, Any]) -> Iterator[str]:
    if _text(record, "user_id") not in {"", "anonymous"}:
        yield f"user={_text(record, 'user_id')}"
    for flag in ("aborted", "incomplete"):
        if record.get(flag):
            yield flag
    exception = record.get("exception")
    if isinstance(exception, dict):
        yield f"{_text(exception, 'type')}: {_text(exception, 'message')}"


class _Paint:
    """ANSI colours, or none."""

    def __init__(self, *, enabled: bool) -> None:
        self._enabled = enabled

    def dim(self, text: str) -> str:
        return self._wrap("2", text)

    def by_level(self, level: str, text: str) -> str:
        return self._wrap({"error": "31", "critical": "31", "warning": "33", "info": "32"}.get(level, "36"), text)

    def by_status(self, status: str, text: str) -> str:
        return self._wrap({"5": "31;1", "4": "33", "3": "36", "2": "32"}.get(status[:1], "36"), text)

    def _wrap(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._enabled else text


def create_format(name: str, *, color: bool = False) -> OutputFormat:
    """Return the format of that name: `raw`, `jsonl`, or `default`, the only one with colours."""
    if name == "raw":
        return RawFormat()
    return JsonlFormat() if name == "jsonl" else DefaultFormat(color=color)
