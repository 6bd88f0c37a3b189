"""Range aggregations over a source: which way the samples come, and how the series are told apart."""

from apimon.loki.embedded.engine.samples import SampleSet, read_columns, read_samples
from apimon.loki.embedded.engine.table import Steps, Table
from apimon.loki.embedded.engine.windows import aggregate_windows, count_windows, value_aggregate
from apimon.loki.embedded.source import EntrySource
from apimon.loki.logql.nodes import (
    DropExpr,
    Grouping,
    KeepExpr,
    MatchOp,
    RangeAggregationExpr,
    RangeOp,
    VectorAggregationExpr,
    VectorOp,
)
from apimon.units import NS_PER_S

_SUMMABLE = {RangeOp.COUNT, RangeOp.RATE, RangeOp.BYTES, RangeOp.BYTES_RATE, RangeOp.SUM}
"""What a sum over series gives the same of, whether it is taken before or after the windows."""


def aggregate_range(
    source: EntrySource, expr: RangeAggregationExpr, steps: Steps, outer: VectorAggregationExpr | None = None
) -> Table:
    """Return the aggregate of each series and step; `outer` is the nearest aggregation round it."""
    grouping = _find_grouping(expr, outer)
    columns = read_columns(source, expr, grouping, steps)
    if columns is not None:
        return columns
    over_lines = _divides_by_lines(expr, outer)
    samples = read_samples(source, expr, grouping, steps, keeps_lines=over_lines)
    if expr.op is RangeOp.ABSENT:
        return _find_absent(expr, samples, steps)
    if over_lines:
        return _average_over_lines(samples, steps, expr.range.range_ns)
    return _aggregate(expr, samples, steps)


def _find_grouping(expr: RangeAggregationExpr, outer: VectorAggregationExpr | None) -> Grouping | None:
    """Return what to tell the series apart by, None for all labels.

    Where a sum of the series can be taken before the windows, it is that sum's grouping: the lines need then be
    parsed no further than it asks.
    """
    if outer is None or outer.operand is not expr or outer.op is not VectorOp.SUM or expr.op not in _SUMMABLE:
        return expr.grouping
    if outer.grouping is None:
        return Grouping()
    return expr.grouping if outer.grouping.without else outer.grouping


def _divides_by_lines(expr: RangeAggregationExpr, outer: VectorAggregationExpr | None) -> bool:
    """Whether Loki 3.7.6 divides the average by all lines before the unwrap, those without a value too.

    It splits an average whose series are fewer than the streams, by grouping or by dropped labels, into a sum and a
    count, and the count knows nothing of the unwrap; beneath a `sum` it doesn't split.
    """
    if expr.op is not RangeOp.AVG or (outer is not None and outer.op is VectorOp.SUM):
        return False
    drops = any(isinstance(stage, DropExpr | KeepExpr) for stage in expr.range.pipeline.stages)
    return expr.grouping is not None or drops


def _aggregate(expr: RangeAggregationExpr, samples: SampleSet, steps: Steps) -> Table:
    range_ns = expr.range.range_ns
    if expr.op is RangeOp.COUNT or (expr.op is RangeOp.RATE and not expr.range.unwrap):
        divisor = range_ns / NS_PER_S if expr.op is RangeOp.RATE else 1.0
        counts = {key: count_windows(each, steps, range_ns) for key, each in samples.series.items()}
        return {key: {index: value / divisor for index, value in points.items()} for key, points in counts.items()}
    aggregate = value_aggregate(expr)
    return {key: aggregate_windows(each, steps, range_ns, aggregate) for key, each in samples.series.items()}


def _average_over_lines(samples: SampleSet, steps: Steps, range_ns: int) -> Table:
    """Return sums divided by the number of lines, those without a value too."""
    table: Table = {}
    for key, each in samples.series.items():
        counts = count_windows(samples.lines[key], steps, range_ns)
        sums = aggregate_windows(each, steps, range_ns, sum)
        table[key] = {index: total / counts[index] for index, total in sums.items()}
    return table


def _find_absent(expr: RangeAggregationExpr, samples: SampleSet, steps: Steps) -> Table:
    """Return 1 where no series has a sample, labelled with what the selector demands to be equal."""
    present: set[int] = set()
    for each in samples.series.values():
        present.update(count_windows(each, steps, expr.range.range_ns))
    matchers = expr.range.pipeline.selector.matchers
    labels = {matcher.name: matcher.value for matcher in matchers if matcher.op is MatchOp.EQUAL and matcher.value}
    points = {index: 1.0 for index in range(steps.count) if index not in present}
    return {tuple(sorted(labels.items())): points} if points else {}
