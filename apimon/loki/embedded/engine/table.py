"""What a metric expression is while it is evaluated: series of points on one grid of steps."""

from collections.abc import Iterable
from dataclasses import dataclass

from apimon.loki.logql.nodes import Grouping
from apimon.loki.model import Labels, QueryResult, ResultType, Sample, Series

LabelKey = tuple[tuple[str, str], ...]
"""A label set as its sorted pairs."""

Points = dict[int, float]
"""Values by the index of their step; a step without a value is missing."""

Table = dict[LabelKey, Points]
"""Series by their label set. The order of the series means something only after `sort` and `topk`."""


@dataclass(frozen=True, slots=True)
class Steps:
    """The instants that an expression is evaluated at: `count` of them from `start_ns` on."""

    start_ns: int
    step_ns: int
    count: int

    @classmethod
    def of_range(cls, start_ns: int, end_ns: int, step_ns: int) -> "Steps":
        """Return the multiples of the step that cover `[start_ns, end_ns]`, as Loki aligns them."""
        first = start_ns // step_ns
        last = -(-end_ns // step_ns)
        return cls(first * step_ns, step_ns, last - first + 1)

    @property
    def end_ns(self) -> int:
        """The last instant."""
        return self.start_ns + (self.count - 1) * self.step_ns

    def at(self, index: int) -> int:
        """Return the instant of a step."""
        return self.start_ns + index * self.step_ns

    def cover(self, time_ns: int, range_ns: int) -> bool:
        """Whether a time up to the last instant lies in the window `(t - range, t]` of one of them."""
        return time_ns > self.at(self.index_from(time_ns)) - range_ns

    def index_from(self, time_ns: int) -> int:
        """Return the first step at or after a time, 0 for a time before all of them."""
        return max(0, -((self.start_ns - time_ns) // self.step_ns))


def group_key(key: Iterable[tuple[str, str]], grouping: Grouping | None) -> LabelKey:
    """Return the part of a label set that a grouping keeps; nothing of it without a grouping."""
    if grouping is None:
        return ()
    names = grouping.names
    return tuple(pair for pair in key if (pair[0] in names) != grouping.without)


def group_labels(labels: Labels, grouping: Grouping) -> LabelKey:
    """Return the part of an unsorted label set that a grouping keeps; `by` takes an empty value for none."""
    return group_key(sorted(pair for pair in labels.items() if pair[1] or grouping.without), grouping)


def to_matrix(table: Table, steps: Steps) -> QueryResult:
    """Return the table as a matrix, series ordered by their labels."""
    series = [
        Series(dict(key), [Sample(steps.at(index), points[index]) for index in sorted(points)])
        for key, points in sorted(table.items())
        if points
    ]
    return QueryResult(ResultType.MATRIX, series=series)


def to_vector(table: Table, steps: Steps, *, ordered: bool) -> QueryResult:
    """Return the only step as a vector, by labels unless the table is `ordered` already."""
    items = table.items() if ordered else sorted(table.items())
    series = [Series(dict(key), [Sample(steps.start_ns, points[0])]) for key, points in items if points]
    return QueryResult(ResultType.VECTOR, series=series)
