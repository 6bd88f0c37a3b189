"""What parses, how it prints, and what is refused: typed from the answers of a Loki 3.7.6."""

from contextlib import suppress

import pytest
from hypothesis import given

from apimon.errors import QueryError
from apimon.loki.logql.nodes import (
    AndPredicate,
    BinaryExpr,
    BinaryOp,
    CompareOp,
    Expr,
    JsonExpr,
    LabelFilterExpr,
    LineFilterExpr,
    LineOp,
    LiteralExpr,
    Matcher,
    MatchOp,
    NumberPredicate,
    OrPredicate,
    PipelineExpr,
    SelectorExpr,
)
from apimon.loki.logql.parser import parse_expr
from tests.loki.logql.expressions import expressions, text

ACCEPTED = {
    '{a="x"}': '{a="x"}',
    '{ a = "x" , b =~ "y" }': '{a="x", b=~"y"}',
    "{a=`x`}": '{a="x"}',
    r'{a="\x41\u00e9\101"}': '{a="AéA"}',
    '{rate="x"}': '{rate="x"}',
    '{sum="x", ip="y", vector="z"}': '{sum="x", ip="y", vector="z"}',
    '(({a="x"}))': '{a="x"}',
    '{a="x"}|json|a>5': '{a="x"} | json | a>5',
    '{a="x"} # comment': '{a="x"}',
    '{a="x"} /* c */ |= "y" // d': '{a="x"} |= "y"',
    '{a="x"} |= "#"': '{a="x"} |= "#"',
    '{a="x"} |= `a"b`': r'{a="x"} |= "a\"b"',
    '{a="x"} |= "a" or "b" or "c" |= "d"': '{a="x"} |= "a" or "b" or "c" |= "d"',
    '{a="x"} |= ip("1.2.3.4") or "x"': '{a="x"} |= ip("1.2.3.4") or "x"',
    '{a="x"} |> ""': '{a="x"} |> ""',
    '{a="x"} | json a, b="c"': '{a="x"} | json a="a", b="c"',
    '{a="x"} | logfmt --keep-empty --strict': '{a="x"} | logfmt --strict --keep-empty',
    '{a="x"} | logfmt --strict a, b="c"': '{a="x"} | logfmt --strict a="a", b="c"',
    '{a="x"} | json | a > 5 and b < 6 or c = "d"': '{a="x"} | json | ((a>5 and b<6) or c="d")',
    '{a="x"} | json | a > 5 or b < 6, c = "x"': '{a="x"} | json | (a>5 or (b<6 and c="x"))',
    '{a="x"} | json | a > 5 b < 6': '{a="x"} | json | (a>5 and b<6)',
    '{a="x"} | json | a>1 (b>2)': '{a="x"} | json | (a>1 and b>2)',
    '{a="x"} | json | rate > 5': '{a="x"} | json | rate>5',
    '{a="x"} | json | a = 5': '{a="x"} | json | a==5',
    '{a="x"} | json | a > - 5': '{a="x"} | json | a>-5',
    '{a="x"} | json | a > .5': '{a="x"} | json | a>0.5',
    '{a="x"} | json | a > 1_000': '{a="x"} | json | a>1000',
    '{a="x"} | json | a > 010': '{a="x"} | json | a>10',
    '{a="x"} | json | a > 1e3': '{a="x"} | json | a>1000',
    '{a="x"} | json | a > 1d12h': '{a="x"} | json | a>36h',
    '{a="x"} | json | a > 1m1h': '{a="x"} | json | a>1h1m',
    '{a="x"} | json | a > -5s': '{a="x"} | json | a>-5s',
    '{a="x"} | json | a > 1.5KB': '{a="x"} | json | a>1500B',
    '{a="x"} | json | a > 1kiB': '{a="x"} | json | a>1024B',
    '{a="x"} | json | a > 0KB': '{a="x"} | json | a>0KB',
    '{a="x"} | json | a != ip("1.2.3.4")': '{a="x"} | json | a!=ip("1.2.3.4")',
    '{a="x"} | drop a,b="c",d=~"e"': '{a="x"} | drop a, b="c", d=~"e"',
    '{a="x"} | label_format a=b,c="{{.d}}"': '{a="x"} | label_format a=b, c="{{.d}}"',
    'RATE({a="x"}[1m])': 'rate({a="x"} [1m])',
    'rate ({a="x"}[1h30m])': 'rate({a="x"} [1h30m])',
    'rate({a="x"}[0s])': 'rate({a="x"} [0s])',
    'rate(({a="x"} |= "x")[1m])': 'rate({a="x"} |= "x" [1m])',
    'rate(({a="x"}[1m]))': 'rate({a="x"} [1m])',
    'rate({a="x"}[1m] offset 5m |= "x")': 'rate({a="x"} |= "x" [1m] offset 5m)',
    'rate({a="x"}[1m] offset -5m)': 'rate({a="x"} [1m] offset -5m)',
    'avg_over_time({a="x"}[1m] | json | unwrap b)': 'avg_over_time({a="x"} | json | unwrap b [1m])',
    'max_over_time({a="x"} | unwrap duration(b) | __error__="" | c > 5 and d < 6 [1m]) by (e)': (
        'max_over_time({a="x"} | unwrap duration(b) | __error__="" | (c>5 and d<6) [1m]) by (e)'
    ),
    'sum BY (a, b) (rate({a="x"}[1m]))': 'sum by (a, b) (rate({a="x"} [1m]))',
    'sum(rate({a="x"}[1m])) without (a)': 'sum without (a) (rate({a="x"} [1m]))',
    'topk by (a) (5, rate({a="x"}[1m]))': 'topk by (a) (5, rate({a="x"} [1m]))',
    'rate({a="x"}[1m]) > bool on(a) rate({a="x"}[1m])': '(rate({a="x"} [1m]) > bool on (a) rate({a="x"} [1m]))',
    'rate({a="x"}[1m]) / ignoring(a,b) group_right(c) rate({a="x"}[1m])': (
        '(rate({a="x"} [1m]) / ignoring (a, b) group_right (c) rate({a="x"} [1m]))'
    ),
    'rate({a="x"}[1m]) + bool 1': '(rate({a="x"} [1m]) + bool 1)',
    'sum(rate({a="x"}[1m])) or vector(0) * 5': '(sum(rate({a="x"} [1m])) or (vector(0) * 5))',
    "2 ^ 3 ^ 2": "(2 ^ (3 ^ 2))",
    "-2 ^ 2": "(-2 ^ 2)",
    "1 -1": "(1 - 1)",
    "1 + 2 * 3": "(1 + (2 * 3))",
}  # fmt: skip


@pytest.mark.parametrize(("query", "printed"), ACCEPTED.items())
def test_accepted_query_prints_in_one_canonical_form(query: str, printed: str) -> None:
    assert str(parse_expr(query)) == printed


# The query → what Loki says of it.
MISPLACED = {
    '{json="x"}': "line 1, col 2: syntax error: unexpected json, expecting IDENTIFIER or }",
    '{JSON="x"}': "line 1, col 2: syntax error: unexpected json, expecting IDENTIFIER or }",
    '{a="x",}': "line 1, col 8: syntax error: unexpected }, expecting IDENTIFIER",
    '{a="x': "line 1, col 4: literal not terminated",
    r'{a="\q"}': "line 1, col 4: invalid char escape",
    "{a=x}": "line 1, col 4: syntax error: unexpected IDENTIFIER, expecting STRING",
    "# comment only": "line 1, col 15: syntax error: unexpected $end",
    "a": "line 1, col 1: syntax error: unexpected IDENTIFIER",
    '({a="x"}) |= "y"': "line 1, col 11: syntax error: unexpected |=",
    '{a="x"} |': "line 1, col 10: syntax error: unexpected $end",
    '{a="x"} | foo': "line 1, col 14: syntax error: unexpected $end",
    '{a="x"} | json | a == "5"': "line 1, col 23: syntax error: unexpected STRING",
    '{a="x"} | json | a =~ 5': "line 1, col 23: syntax error: unexpected NUMBER, expecting STRING",
    '{a="x"} | json | a > 1b': "line 1, col 24: syntax error: unexpected $end",
    '{a="x"} | json | a > 1.5kb': "line 1, col 27: syntax error: unexpected $end",
    '{a="x"} | json | a > 5s5': "line 1, col 25: syntax error: unexpected $end",
    '{a="x"} | json | a>1 and': "line 1, col 25: syntax error: unexpected $end, expecting IDENTIFIER or (",
    '{a="x"} | json | or = "x"': "line 1, col 18: syntax error: unexpected or",
    '{a="x"} | json | unwrap b': "line 1, col 18: syntax error: unexpected unwrap",
    '{a="x"} |= "a" or |= "b"': "line 1, col 19: syntax error: unexpected |=, expecting STRING or ip",
    '{a="x"} | line_format x': "line 1, col 23: syntax error: unexpected IDENTIFIER, expecting STRING",
    '{a="x"} | json a="b", | a="c"': "line 1, col 23: syntax error: unexpected |, expecting IDENTIFIER",
    'rate({a="x"})': "line 1, col 13: syntax error: unexpected )",
    'rate({a="x"}[1.5m])': "line 1, col 13: not a valid duration string",
    'rate({a="x"}[30s1m])': "line 1, col 13: not a valid duration string",
    'rate({a="x"}[100us])': "line 1, col 13: not a valid duration string",
    'rate({a="x"}[])': "line 1, col 13: empty duration string",
    'rate({a="x"}[1m] |= "x" offset 5m)': "line 1, col 25: syntax error: unexpected offset",
    'avg_over_time by (c) ({a="x"} | unwrap b [1m])': "line 1, col 15: syntax error: unexpected by, expecting (",
    'sum by (a,) (rate({a="x"}[1m]))': "line 1, col 11: syntax error: unexpected ), expecting IDENTIFIER",
    'sum by (a) (rate({a="x"}[1m])) by (a)': "line 1, col 32: syntax error: unexpected by",
    'sum(rate({a="x"}[1m])': "line 1, col 22: syntax error: unexpected $end",
    'max_over_time({a="x"} | unwrap b | unwrap c [1m])': "line 1, col 36: syntax error: unexpected unwrap",
    'rate({a="x"}[1m]) > on(a) bool rate({a="x"}[1m])': "line 1, col 27: syntax error: unexpected bool",
    'rate({a="x"}[1m]) / on rate({a="x"}[1m])': "line 1, col 24: syntax error: unexpected RATE, expecting (",
    "vector(-1)": "line 1, col 8: syntax error: unexpected -, expecting NUMBER",
    "vector(1+1)": "line 1, col 9: syntax error: unexpected +, expecting )",
    "- - 1": "line 1, col 3: syntax error: unexpected -, expecting NUMBER",
    'quantile_over_time(-1, {a="x"} | unwrap b [1m])': "line 1, col 20: syntax error: unexpected -",
    '{a="x"}\n  | json\n  | a >': "line 3, col 8: syntax error: unexpected $end",
}


@pytest.mark.parametrize(("query", "message"), MISPLACED.items())
def test_misplaced_token_is_refused_at_its_place(query: str, message: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse_expr(query)
    assert str(caught.value).startswith(f"parse error at {message}")
    assert f"line {caught.value.line}, col {caught.value.column}:" in str(caught.value)
    assert caught.value.query == query


MEANINGLESS = {
    "{}": "queries require at least one regexp or equality matcher",
    '{a=""}': "queries require at least one regexp or equality matcher",
    '{a=~".*"}': "queries require at least one regexp or equality matcher",
    '{a!="x", b!~"y"}': "queries require at least one regexp or equality matcher",
    '{a=~"("}': "error parsing regexp: missing",
    '{a="x"} |~ "("': "error parsing regexp: missing",
    '{a="x"} | b=~"["': "error parsing regexp: missing",
    '{a="x"} | json | drop b=~"["': "error parsing regexp: missing",
    '{a="x"} | regexp "b"': "invalid regexp parser: at least one named capture must be supplied",
    'count_over_time({a="x"} | unwrap b [1m])': "invalid aggregation count_over_time with unwrap",
    'sum_over_time({a="x"} [1m])': "invalid aggregation sum_over_time without unwrap",
    'rate_counter({a="x"}[1m])': "invalid aggregation rate_counter without unwrap",
    'sum_over_time({a="x"} | unwrap b [1m]) by (c)': "grouping not allowed for sum_over_time aggregation",
    'rate({a="x"}[1m]) by (a)': "grouping not allowed for rate aggregation",
    'absent_over_time({a="x"}[1m]) by (a)': "grouping not allowed for absent_over_time aggregation",
    'quantile_over_time({a="x"} | unwrap b [1m])': "parameter required for operation quantile_over_time",
    'topk(rate({a="x"}[1m]))': "parameter required for operation topk",
    'topk(0, rate({a="x"}[1m]))': "invalid parameter (must be greater than 0) topk(0",
    'topk(1.5, rate({a="x"}[1m]))': "invalid parameter topk(1.5,",
    'topk(1e1, rate({a="x"}[1m]))': "invalid parameter topk(1e1,",
    'sum(5, rate({a="x"}[1m]))': "unsupported parameter for operation sum(5,",
    'sort by (a) (rate({a="x"}[1m]))': "sort and sort_desc doesn't allow grouping by",
    'rate({a="x"}[1m]) and 1': "unexpected literal for right leg of logical/set binary operation (and): 1",
    "vector(1) and 1+1": "unexpected literal for right leg of logical/set binary operation (and)",
    "1 or 1": "unexpected literal for left leg of logical/set binary operation (or): 1",
}


@pytest.mark.parametrize(("query", "message"), MEANINGLESS.items())
def test_meaningless_query_is_refused_in_words(query: str, message: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse_expr(query)
    assert str(caught.value).startswith(f"parse error : {message}")


def test_label_filters_bind_and_tighter_than_or() -> None:
    expr = parse_expr('{a="x"} | json | b="1" or c>2 and d>=3')
    predicate = OrPredicate(
        Matcher("b", MatchOp.EQUAL, "1"),
        AndPredicate(NumberPredicate("c", CompareOp.GREATER, 2), NumberPredicate("d", CompareOp.GREATER_OR_EQUAL, 3)),
    )
    selector = SelectorExpr((Matcher("a", MatchOp.EQUAL, "x"),))
    assert expr == PipelineExpr(selector, (JsonExpr(), LabelFilterExpr(predicate)))


def test_operators_bind_as_in_promql() -> None:
    expr = parse_expr("vector(1) or vector(2) and vector(3) == 4 + 5 * 6 ^ 7")
    printed = "(vector(1) or (vector(2) and (vector(3) == (4 + (5 * (6 ^ 7))))))"
    assert str(expr) == printed


def test_operators_of_one_rank_bind_from_the_left() -> None:
    minus = BinaryExpr(BinaryOp.SUB, LiteralExpr(1), LiteralExpr(2))
    assert parse_expr("1 - 2 - 3") == BinaryExpr(BinaryOp.SUB, minus, LiteralExpr(3))


@given(expressions)
def test_printed_expression_parses_back_to_itself(expr: Expr) -> None:
    assert parse_expr(str(expr)) == expr


@given(text)
def test_no_value_breaks_out_of_its_string(value: str) -> None:
    selector = SelectorExpr((Matcher("a", MatchOp.EQUAL, "x" + value),))
    expr = PipelineExpr(selector, (LineFilterExpr.of(LineOp.CONTAINS, value),))
    assert parse_expr(str(expr)) == expr


@given(text)
def test_any_text_is_parsed_or_refused_with_a_query_error(query: str) -> None:
    with suppress(QueryError):
        assert parse_expr(query) == parse_expr(str(parse_expr(query)))


@pytest.mark.parametrize(
    "query",
    [
        "(" * 10_000 + '{a="x"}' + ")" * 10_000,
        "1" + " + 1" * 10_000,
        '{a="x"} | json | ' + "(" * 10_000 + "b>1" + ")" * 10_000,
        '{a="x"} | json | b>1' + " or b>1" * 10_000,
        "sum(" * 5_000 + 'rate({a="x"}[1m])' + ")" * 5_000,
    ],
    ids=["parentheses", "operators", "nested filters", "chained filters", "aggregations"],
)
def test_too_deep_query_is_refused_instead_of_exhausting_the_stack(query: str) -> None:
    with pytest.raises(QueryError, match="nested more than"):
        parse_expr(query)


def test_too_long_query_is_refused_by_its_length() -> None:
    with pytest.raises(QueryError, match=r"query size too long \(131080 > 131072\)"):
        parse_expr('{a="' + "x" * 131_074 + '"}')
