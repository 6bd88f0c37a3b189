"""The grammar's reductions to the nodes of logs.

Each method bears the name of a rule, or of an alternative, of grammar.lark, and gets what the rule's parts gave,
without the tokens whose names begin with an underscore.
"""

# ruff: noqa: D102 - a method is what its rule of the grammar says

from typing import Any, TypeVar

from lark import Token, Transformer, v_args

from apimon.loki.logql.label_nodes import (
    AndPredicate,
    BytesPredicate,
    CompareOp,
    DurationPredicate,
    IpPredicate,
    LabelFilterExpr,
    Matcher,
    MatchOp,
    NumberPredicate,
    OrPredicate,
    Predicate,
)
from apimon.loki.logql.log_nodes import (
    DecolorizeExpr,
    DropExpr,
    Extraction,
    JsonExpr,
    KeepExpr,
    LabelFormat,
    LabelFormatExpr,
    LineFilterExpr,
    LineFormatExpr,
    LineOp,
    LineTerm,
    LogfmtExpr,
    PatternExpr,
    PipelineExpr,
    RegexpExpr,
    SelectorExpr,
    StageExpr,
    UnpackExpr,
)

T = TypeVar("T")


@v_args(inline=True)
class LogBuilder(Transformer[Token, Any]):
    """The rules of selectors and stages."""

    def start(self, expr: T) -> T:
        return expr

    def inner(self, node: T) -> T:
        return node

    def append(self, items: list[T], *rest: T) -> list[T]:
        items.append(rest[-1])  # nobody else has seen the list yet
        return items

    def pipeline(self, selector: SelectorExpr, stages: tuple[StageExpr, ...] | list[StageExpr] = ()) -> PipelineExpr:
        return PipelineExpr(selector, tuple(stages))

    def selector(self, matchers: tuple[Matcher, ...] | list[Matcher] = ()) -> SelectorExpr:
        return SelectorExpr(tuple(matchers))

    def _list(self, *items: T) -> list[T]:
        return list(items)

    matchers = stages = line_terms = extractions = flags = label_formats = label_list = _list

    def matcher(self, name: Token, op: Token, value: Token) -> Matcher:
        return Matcher(str(name), MatchOp(op), str(value))

    def match_op(self, op: Token) -> Token:
        return op

    line_op = compare_op = piped = match_op

    def line_filter(self, op: Token, terms: list[LineTerm]) -> LineFilterExpr:
        return LineFilterExpr(LineOp(op), tuple(terms))

    def line_term(self, value: Token) -> LineTerm:
        return LineTerm(str(value))

    def ip_term(self, value: Token) -> LineTerm:
        return LineTerm(str(value), is_ip=True)

    def extraction(self, name: Token, *path: Token) -> Extraction:
        return Extraction(str(name), str(path[-1] if path else name))

    def json(self, extractions: tuple[Extraction, ...] | list[Extraction] = ()) -> JsonExpr:
        return JsonExpr(tuple(extractions))

    def logfmt(self, *parts: list[Extraction | Token]) -> LogfmtExpr:
        items = [item for part in parts for item in part]
        extractions = tuple(item for item in items if isinstance(item, Extraction))
        return LogfmtExpr(extractions, strict="--strict" in items, keep_empty="--keep-empty" in items)

    def regexp(self, pattern: Token) -> RegexpExpr:
        return RegexpExpr(str(pattern))

    def pattern(self, pattern: Token) -> PatternExpr:
        return PatternExpr(str(pattern))

    def unpack(self) -> UnpackExpr:
        return UnpackExpr()

    def decolorize(self) -> DecolorizeExpr:
        return DecolorizeExpr()

    def label_filter(self, predicate: Predicate) -> LabelFilterExpr:
        return LabelFilterExpr(predicate)

    def either(self, left: Predicate, _or: Token, right: Predicate) -> Predicate:
        return OrPredicate(left, right)

    def both(self, left: Predicate, *rest: Predicate) -> Predicate:
        return AndPredicate(left, rest[-1])

    def number_predicate(self, name: Token, op: Token, value: float) -> Predicate:
        return NumberPredicate(str(name), _compare_op(op), value)

    def duration_predicate(self, name: Token, op: Token, value_ns: Token) -> Predicate:
        return DurationPredicate(str(name), _compare_op(op), int(value_ns))

    def bytes_predicate(self, name: Token, op: Token, value: Token) -> Predicate:
        return BytesPredicate(str(name), _compare_op(op), int(value))

    def ip_predicate(self, name: Token, op: Token, value: Token) -> Predicate:
        return IpPredicate(str(name), MatchOp(op), str(value))

    def line_format(self, template: Token) -> LineFormatExpr:
        return LineFormatExpr(str(template))

    def label_format(self, formats: list[LabelFormat]) -> LabelFormatExpr:
        return LabelFormatExpr(tuple(formats))

    def set_label(self, name: Token, _assign: Token, template: Token) -> LabelFormat:
        return LabelFormat(str(name), str(template))

    def rename_label(self, name: Token, _assign: Token, source: Token) -> LabelFormat:
        return LabelFormat(str(name), str(source), is_rename=True)

    def label_name(self, name: Token) -> str:
        return str(name)

    def label_matcher(self, matcher: Matcher) -> Matcher:
        return matcher

    def drop(self, labels: list[str | Matcher]) -> DropExpr:
        return DropExpr(tuple(labels))

    def keep(self, labels: list[str | Matcher]) -> KeepExpr:
        return KeepExpr(tuple(labels))

    def number(self, *parts: Token) -> float:
        value = float(parts[-1])
        return -value if parts[0] == "-" else value


def _compare_op(op: Token) -> CompareOp:
    return CompareOp.EQUAL if op == "=" else CompareOp(op)
