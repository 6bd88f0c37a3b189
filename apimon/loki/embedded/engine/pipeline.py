"""A compiled pipeline: what the store has to apply, and the stages that run here."""

from collections.abc import Iterator, Sequence

from apimon.loki.embedded.engine.line import LogLine
from apimon.loki.embedded.engine.stages import Stage, compile_stage, is_parser, is_plain, stage_names
from apimon.loki.embedded.source import Batch, EntrySource
from apimon.loki.logql.nodes import LineFilterExpr, PipelineExpr, StageExpr
from apimon.loki.model import Direction


class Pipeline:
    """The stages of one log query over a source. Raises UnsupportedQueryError for a stage that isn't evaluated yet."""

    def __init__(self, expr: PipelineExpr) -> None:
        self._matchers = expr.selector.matchers
        self._line_filters, rest = _split_filters(expr.stages)
        self._stages: list[Stage] = [compile_stage(stage) for stage in rest]
        self.parses = any(is_parser(stage) for stage in rest)
        """Whether a stage makes labels of the line."""
        self.names = frozenset().union(*map(stage_names, rest))
        """The labels that stages read."""

    @property
    def line_filters(self) -> Sequence[LineFilterExpr]:
        """What the store applies by itself."""
        return self._line_filters

    @property
    def is_selection(self) -> bool:
        """Whether the store applies everything there is."""
        return not self._stages

    def select(self, source: EntrySource, start_ns: int, end_ns: int, direction: Direction) -> Iterator[Batch]:
        """Return the rows of `[start_ns, end_ns)` that selector and leading line filters let through."""
        return source.select(self._matchers, start_ns, end_ns, line_filters=self._line_filters, direction=direction)

    def run(self, line: LogLine) -> bool:
        """Run the stages over a loaded line and return whether it is kept."""
        for stage in self._stages:  # noqa: SIM110 - all() of a generator costs as much as a stage, for every line
            if not stage(line):
                return False
        return True


def _split_filters(stages: Sequence[StageExpr]) -> tuple[list[LineFilterExpr], Sequence[StageExpr]]:
    """Return the leading line filters that a store can apply, and the stages from the first other one on."""
    leading: list[LineFilterExpr] = []
    for stage in stages:
        if not isinstance(stage, LineFilterExpr) or not is_plain(stage):
            break
        leading.append(stage)
    return leading, stages[len(leading) :]
