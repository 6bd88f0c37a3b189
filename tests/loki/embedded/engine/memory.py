"""A source of entries in memory, which does what the protocol says in the plainest way."""

from collections.abc import Iterator, Sequence

from apimon.loki.embedded.source import Batch, Row
from apimon.loki.logql.nodes import LineFilterExpr, LineOp, Matcher, MatchOp
from apimon.loki.logql.regex import compile_anchored, compile_regex
from apimon.loki.model import Direction, Labels


class MemorySource:
    """Rows in the order they were added; `pulled` counts how many were handed out."""

    def __init__(self, rows: Sequence[Row] = (), *, batch_size: int = 7) -> None:
        self.rows = list(rows)
        self.batch_size = batch_size
        self.pulled = 0

    def add(self, labels: Labels, timestamp_ns: int, line: str, metadata: Labels | None = None) -> None:
        self.rows.append((labels, timestamp_ns, line, metadata or {}))

    def select(
        self,
        matchers: Sequence[Matcher],
        start_ns: int,
        end_ns: int,
        *,
        line_filters: Sequence[LineFilterExpr],
        direction: Direction,
    ) -> Iterator[Batch]:
        chosen = [
            row
            for row in self.rows
            if start_ns <= row[1] < end_ns
            and all(satisfies(row[0].get(matcher.name, ""), matcher) for matcher in matchers)
            and all(passes(row[2], line_filter) for line_filter in line_filters)
        ]
        chosen.sort(key=lambda row: row[1])
        if direction is Direction.BACKWARD:
            chosen.reverse()
        for at in range(0, len(chosen), self.batch_size):
            batch = chosen[at : at + self.batch_size]
            self.pulled += len(batch)
            yield batch


def satisfies(value: str, matcher: Matcher) -> bool:
    """Whether a label's value satisfies a selector's matcher."""
    matches = {
        MatchOp.EQUAL: lambda: value == matcher.value,
        MatchOp.NOT_EQUAL: lambda: value != matcher.value,
        MatchOp.REGEX: lambda: compile_anchored(matcher.value).matches(value),
        MatchOp.NOT_REGEX: lambda: not compile_anchored(matcher.value).matches(value),
    }
    return matches[matcher.op]()


def passes(line: str, line_filter: LineFilterExpr) -> bool:
    """Whether a line passes a filter of plain strings or regular expressions."""
    values = [term.value for term in line_filter.terms]
    if line_filter.op in {LineOp.CONTAINS, LineOp.NOT_CONTAINS}:
        found = any(value in line for value in values)
    else:
        found = any(compile_regex(value).matches(line) for value in values)
    return found is (line_filter.op in {LineOp.CONTAINS, LineOp.REGEX})
