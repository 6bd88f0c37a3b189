"""The nouns of Loki that every room shares: labels, entries, streams, samples, series.

Plain values: no I/O, no JSON, no LogQL.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

Labels = Mapping[str, str]
"""A label set. Two sets with the same pairs are the same stream, whatever the order."""

LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
"""What a label may be called (Prometheus's data model)."""


class Direction(StrEnum):
    """The order of a log query's entries by time."""

    FORWARD = "forward"
    BACKWARD = "backward"


@dataclass(frozen=True, slots=True)
class Entry:
    """One log line: Unix time in nanoseconds, the line, and its structured metadata."""

    timestamp_ns: int
    line: str
    metadata: Labels = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stream:
    """The entries of one label set; their order is the sender's, or a query's direction."""

    labels: Labels
    entries: Sequence[Entry]


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of a series at a Unix time in nanoseconds."""

    timestamp_ns: int
    value: float


@dataclass(frozen=True, slots=True)
class Series:
    """The samples of one label set, oldest first; one sample in a vector, any number in a matrix."""

    labels: Labels
    samples: Sequence[Sample]


def labels_key(labels: Labels) -> tuple[tuple[str, str], ...]:
    """Return the label set in its one canonical order, to compare, hash and sort by."""
    return tuple(sorted(labels.items()))


def format_labels(labels: Labels) -> str:
    """Return the set as LogQL writes it, names sorted: `{a="1", b="2"}`."""
    pairs = ", ".join(f"{name}={quote(value)}" for name, value in sorted(labels.items()))
    return "{" + pairs + "}"


def quote(value: str) -> str:
    """Return `value` as a LogQL string in double quotes, every character that could end it escaped as Go does."""
    return '"' + "".join(_escape(char) for char in value) + '"'


_SHORT_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _escape(char: str) -> str:
    short = _SHORT_ESCAPES.get(char)
    if short is not None:
        return short
    return char if char.isprintable() else _escape_unprintable(ord(char))


def _escape_unprintable(code: int) -> str:
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


class ResultType(StrEnum):
    """What a query's answer holds, by Loki's names."""

    STREAMS = "streams"
    VECTOR = "vector"
    MATRIX = "matrix"
    SCALAR = "scalar"


@dataclass(frozen=True, slots=True)
class QueryResult:
    """A query's answer: `streams` for logs, `series` for vector and matrix, `scalar` for a scalar."""

    type: ResultType
    streams: Sequence[Stream] = ()
    series: Sequence[Series] = ()
    scalar: Sample | None = None
    warnings: Sequence[str] = ()
