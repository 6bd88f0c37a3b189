"""The range aggregations: one value from the samples of a window `(t − range, t]`."""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from apimon.errors import UnsupportedQueryError
from apimon.loki.embedded.engine.table import Points, Steps
from apimon.loki.logql.nodes import RangeAggregationExpr, RangeOp
from apimon.units import NS_PER_S

Aggregate = Callable[[Sequence[float]], float]


@dataclass(slots=True)
class Samples:
    """One series before aggregation: times in rising order and, but for plain counts, a value each."""

    times_ns: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)


def count_windows(samples: Samples, steps: Steps, range_ns: int) -> Points:
    """Return how many samples each window has, empty windows left out."""
    return {index: float(high - low) for index, low, high in _windows(samples.times_ns, steps, range_ns)}


def aggregate_windows(samples: Samples, steps: Steps, range_ns: int, aggregate: Aggregate) -> Points:
    """Return the aggregate of each window's values, empty windows left out."""
    values = samples.values
    return {index: aggregate(values[low:high]) for index, low, high in _windows(samples.times_ns, steps, range_ns)}


def value_aggregate(expr: RangeAggregationExpr) -> Aggregate:
    """Return the function of a window's values; raises UnsupportedQueryError."""
    range_s = expr.range.range_ns / NS_PER_S
    match expr.op:
        case RangeOp.RATE | RangeOp.BYTES_RATE:
            return lambda values: sum(values) / range_s
        case RangeOp.QUANTILE:
            quantile = expr.parameter or 0.0
            return lambda values: find_quantile(values, quantile)
        case RangeOp.RATE_COUNTER:
            raise UnsupportedQueryError("rate_counter is not supported yet: use rate")
        case _:
            return _AGGREGATES[expr.op]


def find_quantile(values: Sequence[float], quantile: float) -> float:
    """Return the quantile with linear interpolation between neighbours, as Prometheus defines it."""
    if not 0 <= quantile <= 1:
        return math.inf if quantile > 1 else -math.inf
    ordered = sorted(values)
    rank = quantile * (len(ordered) - 1)
    low = math.floor(rank)
    high = min(low + 1, len(ordered) - 1)
    weight = rank - low
    return ordered[low] * (1 - weight) + ordered[high] * weight


def find_variance(values: Sequence[float]) -> float:
    """Return the population variance."""
    mean = sum(values) / len(values)
    return sum((value - mean) ** 2 for value in values) / len(values)


_AGGREGATES: dict[RangeOp, Aggregate] = {
    RangeOp.SUM: sum,
    RangeOp.BYTES: sum,
    RangeOp.AVG: lambda values: sum(values) / len(values),
    RangeOp.MIN: min,
    RangeOp.MAX: max,
    RangeOp.STDVAR: find_variance,
    RangeOp.STDDEV: lambda values: math.sqrt(find_variance(values)),
    RangeOp.FIRST: lambda values: values[0],
    RangeOp.LAST: lambda values: values[-1],
}


def _windows(times_ns: list[int], steps: Steps, range_ns: int) -> Iterator[tuple[int, int, int]]:
    """Yield (step, low, high) for each step whose window holds `times_ns[low:high]`, at least one."""
    low = high = 0
    index = steps.index_from(times_ns[0]) if times_ns else steps.count
    while index < steps.count:
        time_ns = steps.at(index)
        low = bisect_right(times_ns, time_ns - range_ns, low)
        high = bisect_right(times_ns, time_ns, max(low, high))
        if low < high:
            yield index, low, high
            index += 1
        elif high == len(times_ns):
            return
        else:
            index = max(index + 1, steps.index_from(times_ns[high]))
