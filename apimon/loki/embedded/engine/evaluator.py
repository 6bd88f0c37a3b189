"""LogQL over an `EntrySource`: log queries to streams, metric queries to matrices, vectors and scalars."""

from collections.abc import Callable
from dataclasses import dataclass

from apimon.errors import QueryError, UnsupportedQueryError
from apimon.loki.embedded.engine.arithmetic import Combine, combine_scalars, compile_operator
from apimon.loki.embedded.engine.logs import run_log_query
from apimon.loki.embedded.engine.matching import combine_sets, combine_tables
from apimon.loki.embedded.engine.ranges import aggregate_range
from apimon.loki.embedded.engine.table import Steps, Table, to_matrix, to_vector
from apimon.loki.embedded.engine.vectors import aggregate_table
from apimon.loki.embedded.source import EntrySource
from apimon.loki.logql.nodes import (
    BinaryExpr,
    Expr,
    LabelReplaceExpr,
    LiteralExpr,
    MetricExpr,
    PipelineExpr,
    RangeAggregationExpr,
    VectorAggregationExpr,
    VectorExpr,
    VectorOp,
)
from apimon.loki.model import Direction, QueryResult, ResultType, Sample

_ORDERED = {VectorOp.SORT, VectorOp.SORT_DESC, VectorOp.TOPK, VectorOp.BOTTOMK}


@dataclass(frozen=True, slots=True)
class Limits:
    """What a query may ask for."""

    max_series: int = 500
    """Series of a metric query's result."""


class Evaluator:
    """Runs queries over one source. Every method raises QueryError, UnsupportedQueryError for what is to come."""

    def __init__(self, source: EntrySource, limits: Limits | None = None) -> None:
        self._source = source
        self._limits = limits or Limits()

    def run_log_query(
        self, expr: Expr, start_ns: int, end_ns: int, limit: int, direction: Direction, interval_ns: int = 0
    ) -> QueryResult:
        """Return at most `limit` entries of `[start_ns, end_ns)` in the direction's order; 0 is all of them."""
        if not isinstance(expr, PipelineExpr):
            raise QueryError("a metric query gives no log lines: query a range or an instant of it")
        return run_log_query(self._source, expr, start_ns, end_ns, limit, direction, interval_ns)

    def run_metric_query(self, expr: Expr, start_ns: int, end_ns: int, step_ns: int) -> QueryResult:
        """Return a matrix at the multiples of `step_ns` that cover `[start_ns, end_ns]`."""
        if isinstance(expr, PipelineExpr):
            raise QueryError("a log query gives no metric: wrap it in count_over_time(… [1m])")
        steps = Steps.of_range(start_ns, end_ns, step_ns)
        value = self._evaluate(expr, steps)
        table = value if isinstance(value, dict) else _constant(value, steps)
        return to_matrix(self._limited(table), steps)

    def run_instant_query(self, expr: Expr, ts_ns: int) -> QueryResult:
        """Return a vector, or a scalar where the query is one, at one instant."""
        if isinstance(expr, PipelineExpr):
            raise QueryError(
                "log queries are not supported as an instant query type, please change your query to a range query type"
            )
        steps = Steps(ts_ns, 1, 1)
        value = self._evaluate(expr, steps)
        if not isinstance(value, dict):
            return QueryResult(ResultType.SCALAR, scalar=Sample(ts_ns, value))
        ordered = isinstance(expr, VectorAggregationExpr) and expr.op in _ORDERED
        return to_vector(self._limited(value), steps, ordered=ordered)

    def _limited(self, table: Table) -> Table:
        if len(table) > self._limits.max_series:
            raise QueryError(
                f"maximum number of series ({self._limits.max_series}) reached for a single query: "
                f"it has {len(table)}; group it with sum by (…), or select fewer streams"
            )
        return table

    def _evaluate(self, expr: MetricExpr, steps: Steps, outer: VectorAggregationExpr | None = None) -> Table | float:
        """Return the expression's value; `outer` is the nearest aggregation round it."""
        match expr:
            case LiteralExpr():
                return expr.value
            case VectorExpr():
                return _constant(expr.value, steps)
            case RangeAggregationExpr():
                return aggregate_range(self._source, expr, steps, outer)
            case VectorAggregationExpr():
                table = self._evaluate(expr.operand, steps, expr)
                if not isinstance(table, dict):
                    raise QueryError(
                        f"parse error : {expr.op} needs series, and {expr.operand} is a number: use vector"
                    )
                return aggregate_table(expr, table)
            case BinaryExpr():
                left = self._evaluate(expr.left, steps, outer)
                return _combine(expr, left, self._evaluate(expr.right, steps, outer))
            case LabelReplaceExpr():
                raise UnsupportedQueryError("label_replace is not supported yet")


def _constant(value: float, steps: Steps) -> Table:
    return {(): dict.fromkeys(range(steps.count), value)}


def _combine(expr: BinaryExpr, left: Table | float, right: Table | float) -> Table | float:
    if expr.op.is_set:
        if not isinstance(left, dict) or not isinstance(right, dict):
            raise QueryError(f"parse error : unexpected literal in the set operation {expr.op}: use vector(…)")
        return combine_sets(expr.op, left, right, expr.matching)
    combine = compile_operator(expr.op, returns_bool=expr.returns_bool)
    if isinstance(left, dict):
        if isinstance(right, dict):
            return combine_tables(combine, left, right, expr.matching)
        number = right
        return _map_values(left, lambda value: combine(value, number))
    if isinstance(right, dict):
        return _map_values(right, _from_left(expr, combine, left))
    return combine_scalars(expr.op, left, right)


def _from_left(expr: BinaryExpr, combine: Combine, left: float) -> Callable[[float], float | None]:
    """Return the operator with its scalar on the left; a comparison that keeps gives the series' value, not that."""
    if not expr.op.is_comparison or expr.returns_bool:
        return lambda value: combine(left, value)
    return lambda value: None if combine(left, value) is None else value


def _map_values(table: Table, apply: Callable[[float], float | None]) -> Table:
    result: Table = {}
    for key, points in table.items():
        mapped = {index: new for index, value in points.items() if (new := apply(value)) is not None}
        if mapped:
            result[key] = mapped
    return result
