"""What a query must satisfy beyond its syntax; the rules and their words are Loki 3.7.6's."""

from collections.abc import Iterator, Sequence

from apimon.errors import QueryError
from apimon.loki.logql.nodes import (
    AndPredicate,
    BinaryExpr,
    DropExpr,
    Expr,
    KeepExpr,
    LabelFilterExpr,
    LabelReplaceExpr,
    LineFilterExpr,
    LineOp,
    LiteralExpr,
    Matcher,
    MatchOp,
    OrPredicate,
    PipelineExpr,
    Predicate,
    RangeAggregationExpr,
    RangeOp,
    RegexpExpr,
    SelectorExpr,
    StageExpr,
    VectorAggregationExpr,
    VectorOp,
)
from apimon.loki.logql.regex import compile_anchored, compile_regex

MAX_DEPTH = 250
"""How deep nodes may nest; a chain of operators nests as deep as it is long."""

_UNWRAP_REFUSED = {RangeOp.COUNT, RangeOp.BYTES, RangeOp.BYTES_RATE}
_UNWRAP_OPTIONAL = {RangeOp.RATE, RangeOp.ABSENT}
_GROUPING_ALLOWED = {
    RangeOp.AVG, RangeOp.MIN, RangeOp.MAX, RangeOp.STDDEV, RangeOp.STDVAR, RangeOp.QUANTILE, RangeOp.FIRST,
    RangeOp.LAST,
}  # fmt: skip
_WITH_PARAMETER = {VectorOp.TOPK, VectorOp.BOTTOMK, VectorOp.APPROX_TOPK}
_EMPTY_COMPATIBLE = (
    "queries require at least one regexp or equality matcher that does not have an empty-compatible value. "
    'For instance, app=~".*" does not meet this requirement, but app=~".+" will'
)


def check_expr(expr: Expr) -> None:
    """Raise QueryError where the nodes can't be meant. Never recursive: the depth is checked here as well."""
    waiting: list[tuple[Expr | Predicate, int]] = [(expr, 1)]
    while waiting:
        node, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise QueryError(f"the query is nested more than {MAX_DEPTH} deep: split it")
        _check_node(node)
        waiting.extend((child, depth + 1) for child in _children(node))


def is_scalar(expr: Expr) -> bool:
    """Whether the expression is a number whatever the data: a literal, or arithmetic of literals."""
    if isinstance(expr, BinaryExpr):
        return is_scalar(expr.left) and is_scalar(expr.right)
    return isinstance(expr, LiteralExpr)


def _children(node: Expr | Predicate) -> Iterator[Expr | Predicate]:
    match node:
        case BinaryExpr() | AndPredicate() | OrPredicate():
            yield from (node.left, node.right)
        case VectorAggregationExpr() | LabelReplaceExpr():
            yield node.operand
        case RangeAggregationExpr():
            yield node.range.pipeline
            if node.range.unwrap:
                yield from (label_filter.predicate for label_filter in node.range.unwrap.filters)
        case PipelineExpr():
            yield from (stage.predicate for stage in node.stages if isinstance(stage, LabelFilterExpr))


def _check_node(node: Expr | Predicate) -> None:
    match node:
        case PipelineExpr():
            _check_selector(node.selector)
            for stage in node.stages:
                _check_stage(stage)
        case RangeAggregationExpr():
            _check_range_aggregation(node)
        case VectorAggregationExpr():
            _check_vector_aggregation(node)
        case BinaryExpr():
            _check_binary(node)
        case LabelReplaceExpr():
            compile_regex(node.pattern)
        case Matcher():
            _check_matcher(node)


def _check_selector(selector: SelectorExpr) -> None:
    for matcher in selector.matchers:
        _check_matcher(matcher)
    if not any(_demands_a_value(matcher) for matcher in selector.matchers):
        raise _refused(_EMPTY_COMPATIBLE)


def _demands_a_value(matcher: Matcher) -> bool:
    match matcher.op:
        case MatchOp.EQUAL:
            return matcher.value != ""
        case MatchOp.REGEX:
            return not compile_anchored(matcher.value).matches("")
        case _:
            return False


def _check_matcher(matcher: Matcher) -> None:
    if matcher.op in {MatchOp.REGEX, MatchOp.NOT_REGEX}:
        compile_anchored(matcher.value)


def _check_stage(stage: StageExpr) -> None:
    match stage:
        case LineFilterExpr(op=LineOp.REGEX | LineOp.NOT_REGEX):
            for term in stage.terms:
                compile_regex(term.value)
        case RegexpExpr():
            _check_captures(compile_regex(stage.pattern).names)
        case DropExpr() | KeepExpr():
            for item in stage.labels:
                if isinstance(item, Matcher):
                    _check_matcher(item)


def _check_captures(names: Sequence[str]) -> None:
    if not names:
        raise _refused("invalid regexp parser: at least one named capture must be supplied")


def _check_range_aggregation(node: RangeAggregationExpr) -> None:
    op = node.op
    if node.range.unwrap is None and op not in _UNWRAP_REFUSED | _UNWRAP_OPTIONAL:
        raise _refused(f"invalid aggregation {op} without unwrap")
    if node.range.unwrap is not None and op in _UNWRAP_REFUSED:
        raise _refused(f"invalid aggregation {op} with unwrap")
    if node.grouping is not None and op not in _GROUPING_ALLOWED:
        raise _refused(f"grouping not allowed for {op} aggregation")
    if (node.parameter is None) == (op is RangeOp.QUANTILE):
        raise _refused(f"parameter {'required' if op is RangeOp.QUANTILE else 'not supported'} for operation {op}")


def _check_vector_aggregation(node: VectorAggregationExpr) -> None:
    op = node.op
    if op in _WITH_PARAMETER and node.parameter is None:
        raise _refused(f"parameter required for operation {op}")
    if op not in _WITH_PARAMETER and node.parameter is not None:
        raise _refused(f"unsupported parameter for operation {op}({node.parameter},")
    if op in {VectorOp.SORT, VectorOp.SORT_DESC} and node.grouping is not None:
        raise _refused("sort and sort_desc doesn't allow grouping by ")
    if op is VectorOp.APPROX_TOPK and node.grouping is not None:
        raise _refused("grouping not allowed for approx_topk aggregation")


def _check_binary(node: BinaryExpr) -> None:
    if not node.op.is_set:
        return
    for side, operand in (("left", node.left), ("right", node.right)):
        if is_scalar(operand):
            raise _refused(f"unexpected literal for {side} leg of logical/set binary operation ({node.op}): {operand}")


def _refused(what: str) -> QueryError:
    return QueryError(f"parse error : {what}")
