"""Labels told apart by where they came from: what Grafana asks for with the flag `categorize-labels`.

Streams are those of the selector; each entry says what came from its structured metadata and what the pipeline made.
"""

from apimon.loki.embedded.engine.line import LogLine
from apimon.loki.embedded.engine.logs import select_lines
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
    streams: dict[tuple[tuple[str, str], ...], CategorizedStream] = {}
    for line in select_lines(source, expr, start_ns, end_ns, limit, direction, interval_ns):
        labels, entry = categorize(line)
        streams.setdefault(labels_key(labels), CategorizedStream(labels, [])).entries.append(entry)
    return [streams[key] for key in sorted(streams)]


def categorize(line: LogLine) -> tuple[Labels, CategorizedEntry]:
    """Return what is left of the stream's labels once the stages have run, and the entry beside them."""
    line.settle()
    parsed = {name: value for name, value in line.changes.items() if value is not None}
    entry = CategorizedEntry(line.timestamp_ns, line.text, _untouched(line.metadata, line), parsed)
    return _untouched(line.labels, line), entry


def _untouched(labels: Labels, line: LogLine) -> dict[str, str]:
    return {name: value for name, value in labels.items() if name not in line.changes}
