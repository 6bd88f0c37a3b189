"""The grammar's reductions to the nodes of metrics; see `log_builder`."""

# ruff: noqa: D102 - a method is what its rule of the grammar says

from lark import Token, v_args

from apimon.errors import QueryError
from apimon.loki.logql.label_nodes import LabelFilterExpr
from apimon.loki.logql.log_builder import LogBuilder
from apimon.loki.logql.log_nodes import PipelineExpr, SelectorExpr, StageExpr
from apimon.loki.logql.metric_nodes import (
    BinaryExpr,
    BinaryOp,
    Conversion,
    Grouping,
    GroupSide,
    LabelReplaceExpr,
    LiteralExpr,
    MetricExpr,
    RangeAggregationExpr,
    RangeExpr,
    RangeOp,
    UnwrapExpr,
    VectorAggregationExpr,
    VectorExpr,
    VectorMatching,
    VectorOp,
)

Unwrapped = tuple[PipelineExpr, UnwrapExpr | None]
"""A log query with its unwrap, before its window is known."""

Window = tuple[int, int]
"""A range and an offset, both in nanoseconds."""


@v_args(inline=True)
class MetricBuilder(LogBuilder):
    """The rules of ranges, aggregations and arithmetic."""

    def unwrapped(self, selector: SelectorExpr | Unwrapped, *parts: list[StageExpr] | UnwrapExpr) -> Unwrapped:
        if isinstance(selector, tuple):
            return selector
        stages = [stage for part in parts if isinstance(part, list) for stage in part]
        unwraps = [part for part in parts if isinstance(part, UnwrapExpr)]
        return PipelineExpr(selector, tuple(stages)), unwraps[0] if unwraps else None

    def unwrap(self, first: Token, name: Token | None = None) -> UnwrapExpr:
        if name is None:
            return UnwrapExpr(str(first))
        return UnwrapExpr(str(name), Conversion(first.lower()))

    def unwrap_filter(self, unwrap: UnwrapExpr, label_filter: LabelFilterExpr) -> UnwrapExpr:
        return UnwrapExpr(unwrap.name, unwrap.conversion, (*unwrap.filters, label_filter))

    def window(self, range_ns: Token, offset_ns: Token | None = None) -> Window:
        return int(range_ns), int(offset_ns or 0)

    def window_last(self, unwrapped: Unwrapped, window: Window) -> RangeExpr:
        pipeline, unwrap = unwrapped
        return RangeExpr(pipeline, *window, unwrap)

    def window_first(self, selector: SelectorExpr, window: Window, *parts: list[StageExpr] | UnwrapExpr) -> RangeExpr:
        return self.window_last(self.unwrapped(selector, *parts), window)

    def range_aggregation(self, op: Token, *parts: Token | RangeExpr | Grouping) -> RangeAggregationExpr:
        (range_,) = (part for part in parts if isinstance(part, RangeExpr))
        parameter = next((float(part) for part in parts if isinstance(part, Token)), None)
        grouping = next((part for part in parts if isinstance(part, Grouping)), None)
        return RangeAggregationExpr(RangeOp(op.lower()), range_, parameter, grouping)

    def vector_aggregation(self, op: Token, *parts: Token | MetricExpr | Grouping) -> VectorAggregationExpr:
        (operand,) = (part for part in parts if not isinstance(part, Token | Grouping))
        parameter = next((_parse_parameter(op, part) for part in parts if isinstance(part, Token)), None)
        grouping = next((part for part in parts if isinstance(part, Grouping)), None)
        return VectorAggregationExpr(VectorOp(op.lower()), operand, parameter, grouping)

    def grouping(self, keyword: Token, names: list[Token] | tuple[Token, ...] = ()) -> Grouping:
        return Grouping(tuple(map(str, names)), without=keyword.type == "WITHOUT")

    names = LogBuilder.stages

    def literal(self, value: float) -> LiteralExpr:
        return LiteralExpr(value)

    def vector(self, value: Token) -> VectorExpr:
        return VectorExpr(float(value))

    def label_replace(self, operand: MetricExpr, *strings: Token) -> LabelReplaceExpr:
        target, replacement, source, pattern = map(str, strings)
        return LabelReplaceExpr(operand, target, replacement, source, pattern)

    def binary(
        self, left: MetricExpr, op: Token, modifiers: tuple[bool, VectorMatching | None], right: MetricExpr
    ) -> BinaryExpr:
        return BinaryExpr(BinaryOp(op.lower()), left, right, *modifiers)

    def comparison_op(self, op: Token) -> Token:
        return op

    match_side = group_side = comparison_op

    def modifiers(self, bool_: Token | None, matching: VectorMatching | None) -> tuple[bool, VectorMatching | None]:
        return bool_ is not None, matching

    def matching(self, side: Token, *parts: list[Token] | tuple[GroupSide, tuple[str, ...]]) -> VectorMatching:
        labels = next((tuple(map(str, part)) for part in parts if isinstance(part, list)), ())
        grouped = next((part for part in parts if isinstance(part, tuple)), (GroupSide.NONE, ()))
        return VectorMatching(side.type == "ON", labels, *grouped)

    def grouped(self, side: Token, names: list[Token] | tuple[Token, ...] = ()) -> tuple[GroupSide, tuple[str, ...]]:
        return GroupSide(side.lower()), tuple(map(str, names))


def _parse_parameter(op: str, text: str) -> int:
    """Return the k of `topk(5, …)`: a whole number above 0."""
    try:
        value = int(text)
    except ValueError:
        raise QueryError(f"parse error : invalid parameter {op}({text},") from None
    if value <= 0:
        raise QueryError(f"parse error : invalid parameter (must be greater than 0) {op}({text}")
    return value
