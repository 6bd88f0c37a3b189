"""Log queries: the entries that a pipeline lets through, by the streams that they make."""

from collections.abc import Iterator
from itertools import chain

from apimon.loki.embedded.engine.line import LogLine
from apimon.loki.embedded.engine.pipeline import Pipeline
from apimon.loki.embedded.source import EntrySource
from apimon.loki.logql.nodes import PipelineExpr
from apimon.loki.model import Direction, Entry, QueryResult, ResultType, Stream, format_labels, labels_key


def run_log_query(
    source: EntrySource,
    expr: PipelineExpr,
    start_ns: int,
    end_ns: int,
    limit: int,
    direction: Direction,
    interval_ns: int = 0,
) -> QueryResult:
    """Return at most `limit` entries of `[start_ns, end_ns)`, of that instant where both are one.

    `interval_ns` keeps only entries that are at least so far from the one kept before. Streams are ordered by their
    labels as Loki prints them, the entries of a stream by the direction.
    """
    grouped = _Streams()
    for line in select_lines(source, expr, start_ns, end_ns, limit, direction, interval_ns):
        grouped.add(line)
    return grouped.result()


def select_lines(
    source: EntrySource,
    expr: PipelineExpr,
    start_ns: int,
    end_ns: int,
    limit: int,
    direction: Direction,
    interval_ns: int,
) -> Iterator[LogLine]:
    """Yield the lines that `run_log_query` returns, in the direction's order: one object, loaded anew each time."""
    pipeline, line = Pipeline(expr), LogLine()
    count, last_ns = 0, None
    for row in chain.from_iterable(pipeline.select(source, start_ns, max(end_ns, start_ns + 1), direction)):
        if interval_ns and last_ns is not None and abs(row[1] - last_ns) < interval_ns:
            continue
        line.load(row)
        if pipeline.run(line):
            yield line
            count, last_ns = count + 1, row[1]
            if count == limit:
                return


class _Streams:
    """Entries by the label set that their line ended with."""

    def __init__(self) -> None:
        self._streams: dict[tuple[tuple[str, str], ...], tuple[dict[str, str], list[Entry]]] = {}

    def add(self, line: LogLine) -> None:
        labels = line.merged()
        _, entries = self._streams.setdefault(labels_key(labels), (labels, []))
        entries.append(Entry(line.timestamp_ns, line.text, line.metadata))

    def result(self) -> QueryResult:
        ordered = sorted(self._streams.values(), key=lambda stream: format_labels(stream[0]))
        return QueryResult(ResultType.STREAMS, streams=[Stream(labels, entries) for labels, entries in ordered])
