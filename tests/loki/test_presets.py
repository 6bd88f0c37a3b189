"""Presets become LogQL that means what was asked for, whatever the values are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apimon.errors import QueryError, UsageError
from apimon.loki.logql.nodes import LineFilterExpr, LineOp, LineTerm, Matcher, MatchOp, PipelineExpr
from apimon.loki.logql.parser import parse_expr
from apimon.loki.presets import Presets, build_query


def parse_log_query(query: str) -> PipelineExpr:
    expr = parse_expr(query)
    assert isinstance(expr, PipelineExpr)
    return expr


def matcher_of(presets: Presets) -> Matcher:
    (matcher,) = parse_log_query(build_query(presets)).selector.matchers
    return matcher


def test_no_preset_finds_every_record() -> None:
    assert build_query(Presets()) == '{service=~".+"}'


def test_fields_that_are_labels_become_matchers() -> None:
    presets = Presets(service="shop", method="get", level="ERROR", status="404", endpoint="/products/{product_id}")
    assert build_query(presets) == (
        '{service="shop", method="GET", endpoint="/products/{product_id}", status_code="404", level="error"}'
    )


@pytest.mark.parametrize(
    ("status", "op", "value"),
    [
        ("404", MatchOp.EQUAL, "404"),
        ("4xx", MatchOp.REGEX, "4[0-9]{2}"),
        ("4xx,5XX", MatchOp.REGEX, "4[0-9]{2}|5[0-9]{2}"),
        (" 404 , 409,404", MatchOp.REGEX, "404|409"),
    ],
)
def test_a_status_is_a_code_a_class_or_several(status: str, op: MatchOp, value: str) -> None:
    assert matcher_of(Presets(status=status)) == Matcher("status_code", op, value)


@pytest.mark.parametrize("status", ["", "abc", "4x", "44", "600", "4xx,", "4xx;5xx", "404|.*", "٤٠٤"])
def test_another_status_is_a_usage_error_that_names_it(status: str) -> None:
    with pytest.raises(UsageError, match="--status"):
        build_query(Presets(status=status))


@pytest.mark.parametrize(
    ("endpoint", "value"),
    [
        ("/products*", "/products.*"),
        ("*/list", ".*/list"),
        ("/products/{product_id}*", r"/products/\{product_id\}.*"),
        ("/a.b+c*", r"/a\.b\+c.*"),
        ("*", ".+"),
    ],
)
def test_a_star_in_an_endpoint_is_a_glob_of_templates(endpoint: str, value: str) -> None:
    assert matcher_of(Presets(endpoint=endpoint)) == Matcher("endpoint", MatchOp.REGEX, value)


def test_another_endpoint_is_a_template_or_a_path_and_leaves_no_label_behind() -> None:
    assert build_query(Presets(endpoint="/products/1", service="shop")) == (
        '{service="shop"} | json apimon_path="path"'
        ' | (endpoint="/products/1" or apimon_path="/products/1")'
        " | drop apimon_path, __error__, __error_details__"
    )


def test_a_run_is_looked_for_in_the_text_first() -> None:
    assert build_query(Presets(run="run-1")) == (
        '{service=~".+"} |= "run-1" | json apimon_run="run_id" | apimon_run="run-1"'
        " | drop apimon_run, __error__, __error_details__"
    )
    assert "|=" not in build_query(Presets(run='a"b'))


def test_presets_come_before_the_stages_of_a_query() -> None:
    query = build_query(Presets(grep="[a] .*", status="5xx"), '{service="shop"} | json | line_format "{{.path}}"')
    assert query == ('{service="shop", status_code=~"5[0-9]{2}"} |= "[a] .*" | json | line_format "{{.path}}"')


def test_a_query_without_presets_is_left_alone() -> None:
    assert build_query(Presets(), "{a = `b`}  # mine") == "{a = `b`}  # mine"


def test_presets_on_a_metric_query_are_a_usage_error() -> None:
    with pytest.raises(UsageError, match="computes a metric"):
        build_query(Presets(level="error"), 'rate({a="b"}[1m])')


def test_presets_on_a_query_that_does_not_parse_name_the_place() -> None:
    with pytest.raises(QueryError) as caught:
        build_query(Presets(level="error"), '{a="b"} |= ')
    assert caught.value.line == 1


def test_text_that_is_no_unicode_is_refused() -> None:
    with pytest.raises(UsageError, match=r"--grep '\\\\udcff' is not UTF-8"):
        Presets(grep="\udcff")


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(TEXT)
def test_no_grep_breaks_out_of_its_string(text: str) -> None:
    expr = parse_log_query(build_query(Presets(grep=text)))
    assert expr.stages == (LineFilterExpr(LineOp.CONTAINS, (LineTerm(text),)),)


@given(TEXT)
def test_no_label_value_breaks_out_of_its_string(text: str) -> None:
    assert matcher_of(Presets(service=text)) == Matcher("service", MatchOp.EQUAL, text)


@given(TEXT, TEXT)
def test_no_path_or_run_breaks_out_of_its_string(path: str, run: str) -> None:
    query = build_query(Presets(endpoint=path, run=run))
    assert str(parse_expr(query)) == query
    assert len(parse_log_query(query).stages) <= 5
