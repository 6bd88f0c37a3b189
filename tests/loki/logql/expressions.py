"""Random nodes for property tests: everything that `str` may print and `parse_expr` must read back."""

from itertools import pairwise
from typing import TypeVar

from hypothesis import strategies as st

from apimon.loki.logql.nodes import (
    AndPredicate,
    BinaryExpr,
    BinaryOp,
    BytesPredicate,
    CompareOp,
    Conversion,
    DecolorizeExpr,
    DropExpr,
    DurationPredicate,
    Extraction,
    Grouping,
    GroupSide,
    IpPredicate,
    JsonExpr,
    KeepExpr,
    LabelFilterExpr,
    LabelFormat,
    LabelFormatExpr,
    LabelReplaceExpr,
    LineFilterExpr,
    LineFormatExpr,
    LineOp,
    LineTerm,
    LiteralExpr,
    LogfmtExpr,
    Matcher,
    MatchOp,
    MetricExpr,
    NumberPredicate,
    OrPredicate,
    PatternExpr,
    PipelineExpr,
    RangeAggregationExpr,
    RangeExpr,
    RangeOp,
    RegexpExpr,
    SelectorExpr,
    StageExpr,
    UnpackExpr,
    UnwrapExpr,
    VectorAggregationExpr,
    VectorExpr,
    VectorMatching,
    VectorOp,
)

T = TypeVar("T")

# "rate", "sum", "ip" and "bytes" are functions elsewhere; as names they stand for themselves.
names = st.sampled_from(["a", "b_1", "level", "__error__", "rate", "sum", "ip", "bytes", "duration", "vector"])
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
plain_regexes = text.filter(lambda value: not set(value) & set(r".^$*+?{}[]\|()"))
numbers = st.floats(allow_nan=False, allow_infinity=False, width=32)
durations = st.integers(0, 10**15)


def tuples_of(items: st.SearchStrategy[T], low: int = 1, high: int = 3) -> st.SearchStrategy[tuple[T, ...]]:
    return st.lists(items, min_size=low, max_size=high).map(tuple)


matchers = st.builds(Matcher, names, st.sampled_from([MatchOp.EQUAL, MatchOp.NOT_EQUAL]), text) | st.builds(
    Matcher, names, st.sampled_from([MatchOp.REGEX, MatchOp.NOT_REGEX]), plain_regexes
)
selectors = st.builds(
    lambda rest: SelectorExpr((Matcher("app", MatchOp.EQUAL, "shop"), *rest)), tuples_of(matchers, low=0)
)
line_filters = st.builds(
    LineFilterExpr,
    st.sampled_from([LineOp.CONTAINS, LineOp.NOT_CONTAINS]),
    tuples_of(st.builds(LineTerm, text, st.booleans())),
) | st.builds(
    LineFilterExpr,
    st.sampled_from([LineOp.REGEX, LineOp.NOT_REGEX]),
    tuples_of(st.builds(LineTerm, plain_regexes)),
)
extractions = tuples_of(st.builds(Extraction, names, text), low=0)
compare_ops = st.sampled_from(CompareOp)
predicates = st.recursive(
    matchers
    | st.builds(NumberPredicate, names, compare_ops, numbers)
    | st.builds(DurationPredicate, names, compare_ops, durations)
    | st.builds(BytesPredicate, names, compare_ops, st.integers(0, 2**53))
    | st.builds(IpPredicate, names, st.sampled_from([MatchOp.EQUAL, MatchOp.NOT_EQUAL]), text),
    lambda inner: st.builds(AndPredicate, inner, inner) | st.builds(OrPredicate, inner, inner),
    max_leaves=5,
)
label_filters = st.builds(LabelFilterExpr, predicates)
label_lists = tuples_of(names | matchers)
stages = st.one_of(
    line_filters,
    label_filters,
    st.builds(JsonExpr, extractions),
    st.builds(LogfmtExpr, extractions, st.booleans(), st.booleans()),
    st.builds(RegexpExpr, st.just("(?P<a>x)")),
    st.builds(PatternExpr, st.just("<a> <_>")),
    st.builds(UnpackExpr),
    st.builds(DecolorizeExpr),
    st.builds(LineFormatExpr, text),
    st.builds(
        LabelFormatExpr,
        tuples_of(st.builds(LabelFormat, names, text) | st.builds(LabelFormat, names, names, is_rename=st.just(True))),
    ),
    st.builds(DropExpr, label_lists),
    st.builds(KeepExpr, label_lists),
)


def is_expressible(chain: tuple[StageExpr, ...]) -> bool:
    """Whether no `drop` or `keep` ends in a name that a following `!=` or `!~` would make a matcher of."""
    return not any(
        isinstance(before, DropExpr | KeepExpr)
        and isinstance(before.labels[-1], str)
        and isinstance(after, LineFilterExpr)
        and after.op.value in {"!=", "!~"}
        for before, after in pairwise(chain)
    )


pipelines = st.builds(PipelineExpr, selectors, tuples_of(stages, low=0, high=4).filter(is_expressible))

groupings = st.builds(Grouping, tuples_of(names, low=0), st.booleans())
unwraps = st.builds(UnwrapExpr, names, st.sampled_from(Conversion), tuples_of(label_filters, low=0, high=2))
windows = st.integers(0, 10**9).map(lambda ms: ms * 1_000_000)
offsets = st.integers(-(10**15), 10**15)
counted_ranges = st.builds(RangeExpr, pipelines, windows, offsets)
unwrapped_ranges = st.builds(RangeExpr, pipelines, windows, offsets, unwraps)
range_aggregations = st.one_of(
    st.builds(
        RangeAggregationExpr,
        st.sampled_from([RangeOp.COUNT, RangeOp.RATE, RangeOp.BYTES, RangeOp.BYTES_RATE, RangeOp.ABSENT]),
        counted_ranges,
    ),
    st.builds(RangeAggregationExpr, st.sampled_from([RangeOp.SUM, RangeOp.RATE_COUNTER]), unwrapped_ranges),
    st.builds(
        RangeAggregationExpr,
        st.sampled_from([RangeOp.AVG, RangeOp.FIRST, RangeOp.STDVAR]),
        unwrapped_ranges,
        grouping=groupings,
    ),
    st.builds(RangeAggregationExpr, st.just(RangeOp.QUANTILE), unwrapped_ranges, st.floats(0, 1)),
)
matchings = st.none() | st.one_of(
    st.builds(VectorMatching, st.booleans(), tuples_of(names, low=0)),
    st.builds(
        VectorMatching,
        st.booleans(),
        tuples_of(names, low=0),
        st.sampled_from([GroupSide.LEFT, GroupSide.RIGHT]),
        tuples_of(names, low=0),
    ),
)
value_ops = st.sampled_from([op for op in BinaryOp if not op.is_set])


def combine(inner: st.SearchStrategy[MetricExpr]) -> st.SearchStrategy[MetricExpr]:
    return st.one_of(
        st.builds(
            VectorAggregationExpr,
            st.sampled_from([VectorOp.SUM, VectorOp.AVG, VectorOp.COUNT]),
            inner,
            grouping=st.none() | groupings,
        ),
        st.builds(
            VectorAggregationExpr,
            st.sampled_from([VectorOp.TOPK, VectorOp.BOTTOMK]),
            inner,
            st.integers(1, 9),
            groupings,
        ),
        st.builds(BinaryExpr, value_ops, inner, inner, st.booleans(), matchings),
        st.builds(BinaryExpr, st.sampled_from(BinaryOp), range_aggregations, inner.filter(lambda e: "{" in str(e))),
        st.builds(LabelReplaceExpr, inner, text, text, text, plain_regexes),
    )


metrics = st.recursive(
    range_aggregations | st.builds(LiteralExpr, numbers) | st.builds(VectorExpr, numbers.map(abs)),
    combine,
    max_leaves=4,
)
expressions = pipelines | metrics
