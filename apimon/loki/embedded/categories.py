"""Log queries whose labels stay told apart: what Grafana asks for with the flag `categorize-labels`.

Streams are those of the selector; each entry says what came from its structured metadata and what the pipeline made.
"""

from itertools import chain

from apimon.loki.embedded.engine.line import LogLine
from apimon.loki.embedded.engine.pipeline import Pipeline
from apimon.loki.embedded.source import EntrySource
from apimon.loki.logql.nodes import PipelineExpr
from apimon.loki.model import Direction, Labels, labels_key
from apimon.loki.wire.answers import CategorizedEntry, CategorizedStream


def run_categorized_query(
    source: EntrySource,
    expr: PipelineExpr,
    start_ns: int,
    end_ns: int,
    limit: int,
    direction: Direction,
    interval_ns: int = 0,
) -> list[CategorizedStream]:
    """Return the entries of a log query, as `Evaluator.run_log_query` chooses and orders them."""
    pipeline, line = Pipeline(expr), LogLine()
    streams: dict[tuple[tuple[str, str], ...], CategorizedStream] = {}
    count, last_ns = 0, None
    for row in chain.from_iterable(pipeline.select(source, start_ns, max(end_ns, start_ns + 1), direction)):
        if interval_ns and last_ns is not None and abs(row[1] - last_ns) < interval_ns:
            continue
        line.load(row)
        if not pipeline.run(line):
            continue
        line.settle()
        labels = _untouched(line.labels, line)
        stream = streams.setdefault(labels_key(labels), CategorizedStream(labels, []))
        stream.entries.append(_categorize(line))
        count, last_ns = count + 1, row[1]
        if count == limit:
            break
    return [streams[key] for key in sorted(streams)]


def _categorize(line: LogLine) -> CategorizedEntry:
    parsed = {name: value for name, value in line.changes.items() if value is not None}
    return CategorizedEntry(line.timestamp_ns, line.text, _untouched(line.metadata, line), parsed)


def _untouched(labels: Labels, line: LogLine) -> dict[str, str]:
    return {name: value for name, value in labels.items() if name not in line.changes}
