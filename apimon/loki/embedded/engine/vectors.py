"""The aggregations over the series of a table, step by step."""

import math
from collections.abc import Callable, Sequence

from apimon.errors import UnsupportedQueryError
from apimon.loki.embedded.engine.table import LabelKey, Points, Table, group_key
from apimon.loki.embedded.engine.windows import find_variance
from apimon.loki.logql.nodes import Grouping, VectorAggregationExpr, VectorOp

_AGGREGATES: dict[VectorOp, Callable[[Sequence[float]], float]] = {
    VectorOp.SUM: sum,
    VectorOp.AVG: lambda values: sum(values) / len(values),
    VectorOp.MIN: min,
    VectorOp.MAX: max,
    VectorOp.COUNT: lambda values: float(len(values)),
    VectorOp.STDVAR: find_variance,
    VectorOp.STDDEV: lambda values: math.sqrt(find_variance(values)),
}


def aggregate_table(expr: VectorAggregationExpr, table: Table) -> Table:
    """Return the aggregated table. Raises UnsupportedQueryError for `approx_topk`, which Loki has off by default."""
    match expr.op:
        case VectorOp.TOPK | VectorOp.BOTTOMK:
            return _pick(table, expr.grouping, expr.parameter or 1, largest=expr.op is VectorOp.TOPK)
        case VectorOp.SORT | VectorOp.SORT_DESC:
            return _sort(table, descending=expr.op is VectorOp.SORT_DESC)
        case VectorOp.APPROX_TOPK:
            raise UnsupportedQueryError("approx_topk is not supported: use topk")
        case _:
            return _combine(table, expr.grouping, _AGGREGATES[expr.op])


def _combine(table: Table, grouping: Grouping | None, aggregate: Callable[[Sequence[float]], float]) -> Table:
    groups: dict[LabelKey, dict[int, list[float]]] = {}
    for key, points in table.items():
        group = groups.setdefault(group_key(key, grouping), {})
        for index, value in points.items():
            group.setdefault(index, []).append(value)
    return {key: {index: aggregate(values) for index, values in sorted(group.items())} for key, group in groups.items()}


def _pick(table: Table, grouping: Grouping | None, count: int, *, largest: bool) -> Table:
    """Keep the `count` largest or smallest of each group and step; the best of the first step comes first."""
    rows: dict[tuple[LabelKey, int], list[tuple[float, LabelKey]]] = {}
    for key, points in sorted(table.items()):
        group = group_key(key, grouping)
        for index, value in points.items():
            rows.setdefault((group, index), []).append((_rank(value, largest=largest), key))
    picked: dict[LabelKey, Points] = {}
    for (_, index), ranked in sorted(rows.items()):
        for _, key in sorted(ranked)[:count]:
            picked.setdefault(key, {})[index] = table[key][index]
    return picked


def _sort(table: Table, *, descending: bool) -> Table:
    """Order the series of an instant by value; over a range there is no such order."""
    return dict(sorted(sorted(table.items()), key=lambda item: _rank(item[1].get(0, math.nan), largest=descending)))


def _rank(value: float, *, largest: bool) -> float:
    """Return what sorts the wanted values first and NaN last."""
    if math.isnan(value):
        return math.inf
    return -value if largest else value
