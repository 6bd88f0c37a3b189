"""A range's samples by series: from the store's columns where it counts by itself, else line by line."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain

from apimon.errors import QueryError
from apimon.loki.embedded.engine.line import ERROR, LogLine
from apimon.loki.embedded.engine.pipeline import Pipeline
from apimon.loki.embedded.engine.predicates import Keep, compile_predicate, predicate_names
from apimon.loki.embedded.engine.table import LabelKey, Steps, Table, group_labels
from apimon.loki.embedded.engine.values import parse_duration_label_s, parse_number, parse_size_label
from apimon.loki.embedded.engine.windows import Samples
from apimon.loki.embedded.source import ColumnSource, EntrySource
from apimon.loki.logql.nodes import Conversion, Grouping, RangeAggregationExpr, RangeExpr, RangeOp, UnwrapExpr
from apimon.loki.model import Direction, format_labels
from apimon.units import NS_PER_S

_CONVERSIONS: dict[Conversion, Callable[[str], float]] = {
    Conversion.NUMBER: parse_number,
    Conversion.BYTES: parse_size_label,
    Conversion.DURATION: parse_duration_label_s,
    Conversion.DURATION_SECONDS: parse_duration_label_s,
}
_COLUMN_OPS = {RangeOp.COUNT, RangeOp.RATE, RangeOp.BYTES, RangeOp.BYTES_RATE}


@dataclass(slots=True)
class SampleSet:
    """The samples of a range, by series."""

    series: dict[LabelKey, Samples] = field(default_factory=dict)
    lines: dict[LabelKey, Samples] = field(default_factory=dict)
    """The lines before `unwrap`, where they are asked for: what Loki divides some averages by."""


def read_columns(
    source: EntrySource, expr: RangeAggregationExpr, grouping: Grouping | None, steps: Steps
) -> Table | None:
    """Return counts or bytes per series and step from the store's columns; None where lines have to be read."""
    pipeline = Pipeline(expr.range.pipeline)
    if expr.op not in _COLUMN_OPS or expr.range.unwrap or not pipeline.is_selection:
        return None
    if not isinstance(source, ColumnSource):
        return None
    offset_ns = expr.range.offset_ns
    buckets = source.bucket(
        expr.range.pipeline.selector.matchers,
        pipeline.line_filters,
        steps.start_ns - offset_ns,
        steps.end_ns - offset_ns,
        expr.range.range_ns,
        steps.step_ns,
        "count" if expr.op in {RangeOp.COUNT, RangeOp.RATE} else "bytes",
    )
    if buckets is None:
        return None
    divisor = expr.range.range_ns / NS_PER_S if expr.op in {RangeOp.RATE, RangeOp.BYTES_RATE} else 1.0
    table: Table = {}
    for labels, values in buckets:
        points = table.setdefault(group_labels(labels, grouping or _EVERYTHING), {})
        for time_ns, value in values:
            index = (time_ns + offset_ns - steps.start_ns) // steps.step_ns
            points[index] = points.get(index, 0.0) + value / divisor
    return table


def read_samples(
    source: EntrySource,
    expr: RangeAggregationExpr,
    grouping: Grouping | None,
    steps: Steps,
    *,
    keeps_lines: bool = False,
) -> SampleSet:
    """Read the lines that the steps' windows cover and return their samples by series, times shifted by the offset.

    `grouping` is what the series are told apart by; None is all labels. `keeps_lines` fills `lines` too. Raises
    QueryError where a line that is left carries an error: a metric of lines that couldn't be read would be wrong.
    """
    reader = _Reader(expr, grouping, keeps_lines=keeps_lines)
    range_ = expr.range
    start_ns = steps.start_ns - range_.offset_ns - range_.range_ns + 1
    end_ns = steps.end_ns - range_.offset_ns + 1
    # Whether a line is there doesn't depend on what its labels are.
    told_apart_by = Grouping() if expr.op is RangeOp.ABSENT else grouping
    line = LogLine(_wanted_labels(reader.pipeline, range_, told_apart_by))
    run, add = reader.pipeline.run, reader.add
    has_gaps = steps.step_ns > range_.range_ns and steps.count > 1
    if range_.range_ns > 0:
        for row in chain.from_iterable(reader.pipeline.select(source, start_ns, end_ns, Direction.FORWARD)):
            # What lies between two windows is in no sample, and its errors are nobody's.
            if has_gaps and not steps.cover(row[1] + range_.offset_ns, range_.range_ns):
                continue
            line.load(row)
            if run(line):
                add(line)
    return reader.samples


_EVERYTHING = Grouping(without=True)


def _wanted_labels(pipeline: Pipeline, range_: RangeExpr, grouping: Grouping | None) -> frozenset[str] | None:
    """Return the labels that decide the result, None for all: Loki's parsers read no further than to these."""
    if grouping is None or grouping.without:
        return None
    unwrap = range_.unwrap
    names = set(grouping.names) | pipeline.names
    if unwrap:
        names |= {unwrap.name}.union(*(predicate_names(each.predicate) for each in unwrap.filters))
    return frozenset(names)


class _Reader:
    """Lines to samples."""

    def __init__(self, expr: RangeAggregationExpr, grouping: Grouping | None, *, keeps_lines: bool) -> None:
        self.pipeline = Pipeline(expr.range.pipeline)
        self.samples = SampleSet()
        self._offset_ns = expr.range.offset_ns
        self._value = _compile_value(expr)
        self._key = _compile_key(grouping, expr.range.unwrap)
        self._keeps_lines = keeps_lines
        self._groups_errors = grouping is not None and not grouping.without and ERROR in grouping.names

    def add(self, line: LogLine) -> None:
        """Add the line's sample to its series."""
        time_ns = line.timestamp_ns + self._offset_ns
        if self._keeps_lines:
            self._check(line)
            self.samples.lines.setdefault(self._key(line), Samples()).times_ns.append(time_ns)
        value = self._value(line)
        if value is None:
            return
        self._check(line)
        key = self._key(line)
        samples = self.samples.series.get(key)
        if samples is None:
            samples = self.samples.series[key] = Samples()
        samples.times_ns.append(time_ns)
        samples.values.append(value)

    def _check(self, line: LogLine) -> None:
        """Refuse a line with an error, but for the parsers' own where series are told apart by them."""
        if line.failed and not (self._groups_errors and (line.get(ERROR) or "").endswith("ParserErr")):
            raise _pipeline_error(line)


def _compile_value(expr: RangeAggregationExpr) -> Callable[[LogLine], float | None]:
    """Return the function that gives a line's sample, None where it has none."""
    if expr.range.unwrap:
        return _compile_unwrap(expr.range.unwrap)
    if expr.op in {RangeOp.BYTES, RangeOp.BYTES_RATE}:
        return lambda line: float(len(line.text.encode("utf-8", "replace")))
    return lambda _line: 1.0


def _compile_unwrap(unwrap: UnwrapExpr) -> Callable[[LogLine], float | None]:
    name, convert = unwrap.name, _CONVERSIONS[unwrap.conversion]
    read_label = LogLine.get_number if unwrap.conversion is Conversion.NUMBER else LogLine.get
    filters: list[Keep] = [compile_predicate(each.predicate) for each in unwrap.filters]

    def read(line: LogLine) -> float | None:
        text = read_label(line, name)
        if text is None or text == "":
            return None
        try:
            value = convert(text) if isinstance(text, str) else text
        except ValueError as exc:
            line.fail("SampleExtractionErr", str(exc))
            value = 0.0
        return value if all(keep(line) for keep in filters) else None

    return read


def _compile_key(grouping: Grouping | None, unwrap: UnwrapExpr | None) -> Callable[[LogLine], LabelKey]:
    """Return the function that gives a line's series."""
    if grouping is not None and not grouping.without:
        return _compile_by(tuple(sorted(set(grouping.names))))
    left_out = (grouping.names if grouping else ()) + ((unwrap.name,) if unwrap else ())
    known: dict[int, tuple[object, LabelKey]] = {}
    without = Grouping(left_out, without=True)

    def find(line: LogLine) -> LabelKey:
        line.settle()
        if line.changes or line.metadata:
            return group_labels(line.merged(), without)
        found = known.get(id(line.labels))
        if found is None:
            found = known[id(line.labels)] = (line.labels, group_labels(line.labels, without))
        return found[1]

    return find


def _compile_by(names: tuple[str, ...]) -> Callable[[LogLine], LabelKey]:
    known: dict[tuple[str | None, ...], LabelKey] = {}

    def find(line: LogLine) -> LabelKey:
        values = tuple([line.get(name) for name in names])
        key = known.get(values)
        if key is None:
            pairs = zip(names, values, strict=True)
            key = known[values] = tuple((name, value) for name, value in pairs if value is not None)
        return key

    return find


def _pipeline_error(line: LogLine) -> QueryError:
    labels = line.merged()
    return QueryError(
        f"pipeline error: '{labels[ERROR]}' for series: '{format_labels(labels)}': "
        'skip such lines with | __error__="" after the stage or the unwrap that gives the error'
    )
