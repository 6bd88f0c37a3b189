"""Read the store for the evaluation: what a selector, a time range and line filters mean, as SQL.

A select is cut into slices of time, small ones first, so that a query for the newest hundred lines reads little, and
one that reads everything holds little at once.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from math import gcd
from operator import itemgetter
from typing import Literal

import duckdb

from apimon.errors import StoreError
from apimon.loki.embedded.batches import label_metadata
from apimon.loki.embedded.slices import plan_slices
from apimon.loki.embedded.source import Batch, Bucket
from apimon.loki.embedded.store import Store
from apimon.loki.embedded.streams import StoredStream
from apimon.loki.logql.nodes import LineFilterExpr, LineOp, Matcher
from apimon.loki.logql.regex import compile_regex
from apimon.loki.model import Direction, Labels

_BATCH_ROWS = 2048
_MAX_BUCKETS_A_WINDOW = 10_000
_MAX_BUCKETS = 4_000_000
_MAX_METADATA_TEXTS = 50_000


class QueryCancelledError(Exception):
    """The query's time is up, or nobody waits for its answer any more."""


class StoreSource:
    """One query's view of the store; one thread uses it, `cancel` may be called from another."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._cursors: list[duckdb.DuckDBPyConnection] = []
        self._cancelled = threading.Event()
        self.lines_read = 0
        self.bytes_read = 0

    def cancel(self) -> None:
        """Make the query end soon, with QueryCancelledError."""
        self._cancelled.set()
        for cursor in list(self._cursors):
            cursor.interrupt()

    def close(self) -> None:
        """Give the cursors back."""
        while self._cursors:
            self._cursors.pop().close()

    def select(
        self,
        matchers: Sequence[Matcher],
        start_ns: int,
        end_ns: int,
        *,
        line_filters: Sequence[LineFilterExpr],
        direction: Direction,
    ) -> Iterator[Batch]:
        """Yield entries as `EntrySource.select` says."""
        where = self._where(matchers, start_ns, end_ns, line_filters)
        if where is None:
            return
        labels = {stream.id: stream.labels for stream in where.streams}
        metadata = _MetadataTexts(labels)
        order = "ASC" if direction is Direction.FORWARD else "DESC"
        statement = (
            f"SELECT stream_id, timestamp_ns, line, metadata FROM store.entries WHERE {where.sql}"  # noqa: S608  # ids and operators only
            f" ORDER BY timestamp_ns {order}, seq {order}"
        )
        cursor = self._open_cursor()
        for slice_start_ns, slice_end_ns in self._slices(where, direction):
            self._execute(cursor, statement, [slice_start_ns, slice_end_ns, *where.values])
            while rows := self._fetch(cursor):
                self.lines_read += len(rows)
                self.bytes_read += sum(len(row[2]) for row in rows)
                yield [(labels[row[0]], row[1], row[2], metadata[row[0], row[3]]) for row in rows]

    def bucket(
        self,
        matchers: Sequence[Matcher],
        line_filters: Sequence[LineFilterExpr],
        start_ns: int,
        end_ns: int,
        range_ns: int,
        step_ns: int,
        aggregate: Literal["count", "bytes"],
    ) -> list[Bucket] | None:
        """Return windows as `ColumnSource.bucket` says."""
        width_ns = gcd(range_ns, step_ns)
        if range_ns <= 0 or step_ns <= 0 or range_ns // width_ns > _MAX_BUCKETS_A_WINDOW:
            return None
        where = self._where(matchers, start_ns - range_ns + 1, end_ns + 1, line_filters)
        if where is None:
            return []
        labels = {stream.id: stream.labels for stream in where.streams}
        metadata = _MetadataTexts(labels)
        value = "count(*)" if aggregate == "count" else "sum(strlen(line))"
        # Bucket b holds (origin + (b − 1) width, origin + b width]: the same half-open side as a window.
        origin_ns = start_ns - range_ns
        bucket = f"(timestamp_ns - {origin_ns} + {width_ns - 1}) // {width_ns}"
        statement = (
            f"SELECT stream_id, metadata, {bucket} AS bucket, {value}"  # noqa: S608  # numbers
            f" FROM store.entries WHERE {where.sql} GROUP BY ALL ORDER BY ALL"
        )
        cursor = self._execute(self._open_cursor(), statement, [where.start_ns, where.end_ns, *where.values])
        rows = cursor.fetchmany(_MAX_BUCKETS)
        if len(rows) == _MAX_BUCKETS:
            return None
        windows = _Windows(
            start_ns, (end_ns - start_ns) // step_ns + 1, step_ns, range_ns // width_ns, step_ns // width_ns
        )
        found: list[Bucket] = []
        for (stream_id, text), group in groupby(rows, key=itemgetter(0, 1)):
            steps = windows.add([(row[2], row[3]) for row in group])
            if steps:
                found.append(({**metadata[stream_id, text], **labels[stream_id]}, steps))
        return _join(found)

    def measure(self, matchers: Sequence[Matcher], start_ns: int, end_ns: int) -> tuple[int, int]:
        """Return how many entries are in `[start_ns, end_ns)`, and the bytes of their lines."""
        where = self._where(matchers, start_ns, end_ns, ())
        if where is None:
            return 0, 0
        cursor = self._execute(
            self._open_cursor(),
            f"SELECT count(*), coalesce(sum(strlen(line)), 0)::BIGINT FROM store.entries WHERE {where.range_sql}",  # noqa: S608  # ids
            [where.start_ns, where.end_ns],
        )
        entries, size = cursor.fetchall()[0]
        return entries, size

    def _where(
        self, matchers: Sequence[Matcher], start_ns: int, end_ns: int, line_filters: Sequence[LineFilterExpr]
    ) -> "_Where | None":
        self._store.settle()
        catalog = self._store.catalog
        streams = catalog.select(matchers, start_ns, end_ns)
        if not streams or start_ns >= end_ns:
            return None
        start_ns = max(start_ns, min(stream.oldest_ns for stream in streams))
        end_ns = min(end_ns, max(stream.newest_ns for stream in streams) + 1)
        return _Where(streams, start_ns, end_ns, line_filters, all_streams=len(streams) == len(catalog))

    def _slices(self, where: "_Where", direction: Direction) -> Iterator[tuple[int, int]]:
        def count(width_ns: int) -> list[tuple[int, int]]:
            return self._execute(
                self._open_cursor(),
                f"SELECT (timestamp_ns - {where.start_ns}) // {width_ns} AS slot, count(*) FROM store.entries"  # noqa: S608  # numbers
                f" WHERE {where.range_sql} GROUP BY slot ORDER BY slot",
                [where.start_ns, where.end_ns],
            ).fetchall()

        return plan_slices(where.start_ns, where.end_ns, count, newest_first=direction is Direction.BACKWARD)

    def _open_cursor(self) -> duckdb.DuckDBPyConnection:
        # One for each reader: two sides of a binary operation may be read in turns.
        cursor = self._store.cursor()
        self._cursors.append(cursor)
        return cursor

    def _execute(
        self, cursor: duckdb.DuckDBPyConnection, statement: str, values: Sequence[object]
    ) -> duckdb.DuckDBPyConnection:
        if self._cancelled.is_set():
            raise QueryCancelledError
        try:
            return cursor.execute(statement, values)
        except duckdb.InterruptException:
            raise QueryCancelledError from None
        except duckdb.Error as exc:
            raise StoreError(f"cannot read the store: {' '.join(str(exc).split())[:300]}") from exc

    def _fetch(self, cursor: duckdb.DuckDBPyConnection) -> list[tuple[int, int, str, str]]:
        if self._cancelled.is_set():
            raise QueryCancelledError
        try:
            return cursor.fetchmany(_BATCH_ROWS)
        except duckdb.InterruptException:
            raise QueryCancelledError from None
        except duckdb.Error as exc:
            raise StoreError(f"cannot read the store: {' '.join(str(exc).split())[:300]}") from exc


class _Where:
    """A WHERE clause: its first two values are the bounds of time, then come those of the line filters."""

    def __init__(
        self,
        streams: Sequence[StoredStream],
        start_ns: int,
        end_ns: int,
        line_filters: Sequence[LineFilterExpr],
        *,
        all_streams: bool,
    ) -> None:
        self.streams = streams
        self.start_ns, self.end_ns = start_ns, end_ns
        parts = ["timestamp_ns >= ? AND timestamp_ns < ?"]
        if not all_streams:
            parts.append(f"stream_id IN ({', '.join(str(stream.id) for stream in streams)})")
        self.range_sql = " AND ".join(parts)
        self.values: list[str] = []
        for line_filter in line_filters:
            parts.append(_line_filter_sql(line_filter))
            self.values += [term.value for term in line_filter.terms]
        self.sql = " AND ".join(parts)


class _Windows:
    """Adds buckets up to windows: step k's is the last `span` buckets up to bucket `span + k · stride`."""

    def __init__(self, start_ns: int, steps: int, step_ns: int, span: int, stride: int) -> None:
        self._start_ns, self._steps, self._step_ns = start_ns, steps, step_ns
        self._span, self._stride = span, stride

    def add(self, buckets: Sequence[tuple[int, int]]) -> list[tuple[int, float]]:
        """Return (Unix ns, sum) of the steps whose window has a bucket; the buckets come in rising order."""
        span, stride = self._span, self._stride
        # Bucket b is in the window of step k where k·stride < b ≤ span + k·stride.
        first = max(0, -((span - buckets[0][0]) // stride))
        last = min(self._steps - 1, (buckets[-1][0] - 1) // stride)
        sums: list[tuple[int, float]] = []
        entering = leaving = total = 0
        for step in range(first, last + 1):
            while entering < len(buckets) and buckets[entering][0] <= span + step * stride:
                total += buckets[entering][1]
                entering += 1
            while leaving < entering and buckets[leaving][0] <= step * stride:
                total -= buckets[leaving][1]
                leaving += 1
            if entering > leaving:
                sums.append((self._start_ns + step * self._step_ns, float(total)))
        return sums


_SQL_TESTS = {
    LineOp.CONTAINS: ("contains(line, ?)", " OR ", ""),
    LineOp.NOT_CONTAINS: ("contains(line, ?)", " OR ", "NOT "),
    LineOp.REGEX: ("regexp_matches(line, ?)", " OR ", ""),
    LineOp.NOT_REGEX: ("regexp_matches(line, ?)", " OR ", "NOT "),
}


def _line_filter_sql(line_filter: LineFilterExpr) -> str:
    test, joint, negation = _SQL_TESTS[line_filter.op]
    if line_filter.op in (LineOp.REGEX, LineOp.NOT_REGEX):
        for term in line_filter.terms:
            compile_regex(term.value)
    return f"{negation}({joint.join([test] * len(line_filter.terms))})"


class _MetadataTexts(dict[tuple[int, str], Labels]):
    """Stored metadata by stream id and text, decoded once; equal ones share an object."""

    def __init__(self, streams: Mapping[int, Labels]) -> None:
        super().__init__()
        self._streams = streams

    def __missing__(self, key: tuple[int, str]) -> Labels:
        named = label_metadata(key[1], self._streams[key[0]])
        if len(self) >= _MAX_METADATA_TEXTS:
            self.clear()
        self[key] = named
        return named


def _join(found: list[Bucket]) -> list[Bucket] | None:
    # Two streams can be one series once their metadata is merged; then the evaluation of rows adds them up.
    keys = {tuple(sorted(labels.items())) for labels, _ in found}
    return found if len(keys) == len(found) else None
