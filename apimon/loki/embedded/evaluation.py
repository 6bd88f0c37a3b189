"""Where the server meets the language: from a query's text to its result over a source, or to a tail's sieve.

The grammar and the evaluation are loaded with the first query, so that the server is ready sooner.
"""

from dataclasses import dataclass

from apimon.errors import QueryError
from apimon.loki.embedded.source import EntrySource
from apimon.loki.embedded.tailing import Sieve, TailedEntry
from apimon.loki.logql.nodes import Expr, PipelineExpr
from apimon.loki.model import Direction, Labels, QueryResult
from apimon.loki.wire.answers import CategorizedStream


@dataclass(frozen=True, slots=True)
class RangeQuery:
    """A query over a range: `[start_ns, end_ns)` for logs, the steps from `start_ns` to `end_ns` for metrics."""

    expr: Expr
    start_ns: int
    end_ns: int
    step_ns: int
    limit: int
    direction: Direction
    interval_ns: int = 0


def parse_query(text: str, max_bytes: int) -> Expr:
    """Return the query's nodes; raises QueryError."""
    from apimon.loki.logql import parse_expr

    size = len(text.encode("utf-8", "replace"))
    if size > max_bytes:
        raise QueryError(f"the query has {size} bytes, over the limit of {max_bytes} bytes: make it shorter")
    return parse_expr(text)


def run_range(source: EntrySource, query: RangeQuery) -> QueryResult:
    """Return streams for a log query, a matrix for a metric query; raises QueryError."""
    from apimon.loki.embedded.engine import Evaluator, Limits

    evaluator, expr = Evaluator(source, Limits()), query.expr
    if isinstance(expr, PipelineExpr):
        return evaluator.run_log_query(
            expr, query.start_ns, query.end_ns, query.limit, query.direction, query.interval_ns
        )
    return evaluator.run_metric_query(expr, query.start_ns, query.end_ns, query.step_ns)


def run_categorized(source: EntrySource, query: RangeQuery, expr: PipelineExpr) -> list[CategorizedStream]:
    """Return the streams of a log query with their labels told apart; raises QueryError."""
    from apimon.loki.embedded.categories import run_categorized_query

    return run_categorized_query(
        source, expr, query.start_ns, query.end_ns, query.limit, query.direction, query.interval_ns
    )


def run_instant(source: EntrySource, expr: Expr, time_ns: int) -> QueryResult:
    """Return the vector or scalar of a metric query at one time; raises QueryError."""
    from apimon.loki.embedded.engine import Evaluator, Limits

    return Evaluator(source, Limits()).run_instant_query(expr, time_ns)


def compile_sieve(expr: PipelineExpr) -> Sieve:
    """Return what the pipeline shows of one entry; raises UnsupportedQueryError."""
    from apimon.loki.embedded.categories import categorize
    from apimon.loki.embedded.engine.line import LogLine
    from apimon.loki.embedded.engine.stages import compile_stage

    stages = [compile_stage(stage) for stage in expr.stages]
    line = LogLine()

    def sieve(labels: Labels, timestamp_ns: int, text: str, metadata: Labels) -> TailedEntry | None:
        line.load((labels, timestamp_ns, text, metadata))
        if not all(stage(line) for stage in stages):
            return None
        return TailedEntry(*categorize(line))

    return sieve
