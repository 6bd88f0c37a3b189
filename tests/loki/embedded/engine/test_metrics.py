"""Metric queries over a few entries, with the values that a Loki 3.7.6 gave for the same entries."""

import math
from collections.abc import Sequence
from typing import Literal

import pytest

from apimon.errors import QueryError, UnsupportedQueryError
from apimon.loki.embedded.engine import Evaluator, Limits
from apimon.loki.embedded.source import Bucket, Row
from apimon.loki.logql import parse_expr
from apimon.loki.logql.nodes import LineFilterExpr, Matcher
from apimon.loki.model import Direction, QueryResult, ResultType
from tests.loki.embedded.engine.memory import MemorySource

S = 1_000_000_000
A, B = {"app": "x", "p": "a"}, {"app": "x", "p": "b"}

PLAIN: list[Row] = [
    (A, 0, "x", {}), (A, S // 2, "yy", {}), (A, S, "x", {}), (B, 12 * S // 10, "xxx", {}), (A, 2 * S, "x", {}),
    (A, 25 * S // 10, "x", {}), (B, 3 * S, "x", {"m": "1"}), (B, 4 * S, "é", {"m": "2"}),
]  # fmt: skip
FIELDS: list[Row] = [
    (A, 0, '{"v":1,"w":"a"}', {}), (A, S // 2, '{"v":2.5,"w":"b"}', {}), (A, S, '{"w":"x"}', {}),
    (B, 12 * S // 10, '{"v":3,"w":"a"}', {}), (A, 2 * S, '{"v":"4","w":"a"}', {}),
    (A, 25 * S // 10, '{"v":10,"w":"a"}', {}),
]  # fmt: skip
UNREADABLE: list[Row] = [(A, 0, '{"v":1,"w":"a"}', {}), (A, S, '{"v":"x","w":"b"}', {})]
CUT: list[Row] = [(A, 0, '{"v":1,"w":"a"}', {}), (A, S, '{"v":2,"w":"b"', {})]


def name_series(result: QueryResult) -> dict[str, list[tuple[float, float]]]:
    """Return the samples of each series by its labels without `app`, written shortly: `p=a m=1`."""
    return {
        " ".join(f"{name}={value}" for name, value in sorted(series.labels.items()) if name != "app"): [
            (sample.timestamp_ns / S, sample.value) for sample in series.samples
        ]
        for series in result.series
    }


def ask_range(query: str, rows: Sequence[Row], step_s: int = 1) -> dict[str, list[tuple[float, float]]]:
    evaluator = Evaluator(MemorySource(rows))
    return name_series(evaluator.run_metric_query(parse_expr(query.replace("{}", '{app="x"}')), 0, 10 * S, step_s * S))


def ask_instant(query: str, rows: Sequence[Row]) -> dict[str, float]:
    result = Evaluator(MemorySource(rows)).run_instant_query(parse_expr(query.replace("{}", '{app="x"}')), 10 * S)
    assert result.type is ResultType.VECTOR
    return {name: samples[0][1] for name, samples in name_series(result).items()}


RANGES = {
    "count_over_time({}[1s])": {
        "m=1 p=b": [(3, 1)], "m=2 p=b": [(4, 1)], "p=a": [(0, 1), (1, 2), (2, 1), (3, 1)], "p=b": [(2, 1)],
    },
    "sum(count_over_time({}[1s]))": {"": [(0, 1), (1, 2), (2, 2), (3, 2), (4, 1)]},
    "sum by (p, q) (rate({}[2s]))": {
        "p=a": [(0, 0.5), (1, 1.5), (2, 1.5), (3, 1), (4, 0.5)], "p=b": [(2, 0.5), (3, 1), (4, 1), (5, 0.5)],
    },
    "sum without (m) (bytes_over_time({}[2s]))": {
        "p=a": [(0, 1), (1, 4), (2, 4), (3, 2), (4, 1)], "p=b": [(2, 3), (3, 4), (4, 3), (5, 2)],
    },
    "bytes_rate({}[2s])": {
        "m=1 p=b": [(3, 0.5), (4, 0.5)], "m=2 p=b": [(4, 1), (5, 1)],
        "p=a": [(0, 0.5), (1, 2), (2, 2), (3, 1), (4, 0.5)], "p=b": [(2, 1.5), (3, 1.5)],
    },
    "count_over_time({}[0s])": {},
    "count_over_time({}[1s] offset 1s)": {
        "m=1 p=b": [(4, 1)], "m=2 p=b": [(5, 1)], "p=a": [(1, 1), (2, 2), (3, 1), (4, 1)], "p=b": [(3, 1)],
    },
    "absent_over_time({}[1s])": {"": [(t, 1) for t in range(5, 11)]},
    "topk(1, sum by (p) (count_over_time({}[2s])))": {"p=a": [(0, 1), (1, 3), (2, 3), (3, 2)], "p=b": [(4, 2), (5, 1)]},
    "count_over_time({}[1s]) > 1": {"p=a": [(1, 2)]},
    "1 < count_over_time({}[1s])": {"p=a": [(1, 2)]},
    "sum(count_over_time({}[1s])) > bool 1": {"": [(0, 0), (1, 1), (2, 1), (3, 1), (4, 0)]},
    "sum(count_over_time({}[1s])) or vector(0)": {
        "": [(0, 1), (1, 2), (2, 2), (3, 2), (4, 1)] + [(t, 0) for t in range(5, 11)]
    },
    "vector(0) or sum(count_over_time({}[1s]))": {"": [(t, 0) for t in range(11)]},
    "1 + 1": {"": [(t, 2) for t in range(11)]},
}  # fmt: skip


@pytest.mark.parametrize(("query", "expected"), RANGES.items())
def test_range_query_gives_lokis_values(query: str, expected: dict[str, list[tuple[float, float]]]) -> None:
    assert ask_range(query, PLAIN) == expected


INSTANTS = {
    "count_over_time({}[30s])": {"m=1 p=b": 1, "m=2 p=b": 1, "p=a": 5, "p=b": 1},
    "count_over_time({}[1s])": {},
    "avg(count_over_time({}[20s]))": {"": 2},
    "stddev(count_over_time({}[20s]))": {"": math.sqrt(3)},
    "stdvar(count_over_time({}[20s]))": {"": 3},
    "count(count_over_time({}[20s]))": {"": 4},
    "min(count_over_time({}[20s]))": {"": 1},
    "max by (p) (count_over_time({}[20s]))": {"p=a": 5, "p=b": 1},
    "topk by (app) (1, count_over_time({}[20s]))": {"p=a": 5},
    "bottomk(1, sum by (p) (count_over_time({}[20s])))": {"p=b": 3},
    "sum by (p) (count_over_time({}[20s])) + on() group_left sum (count_over_time({}[20s]))": {"p=a": 13, "p=b": 11},
    "sum by (p) (count_over_time({}[20s])) + sum by (p) (count_over_time({}[20s]))": {"p=a": 10, "p=b": 6},
    "count_over_time({}[20s]) + ignoring(m) group_left sum by (p, app) (count_over_time({}[20s]))": {
        "m=1 p=b": 4, "m=2 p=b": 4, "p=a": 10, "p=b": 4,
    },
    "sum by (p, app) (count_over_time({}[20s])) * on(p) group_right() count_over_time({}[20s])": {
        "m=1 p=b": 3, "m=2 p=b": 3, "p=a": 25, "p=b": 3,
    },
    'sum by (p) (count_over_time({}[20s])) and on(p) sum by (p) (count_over_time({p="a"}[20s]))': {"p=a": 5},
    'sum by (p) (count_over_time({}[20s])) unless sum by (p) (count_over_time({p="a"}[20s]))': {"p=b": 3},
    "sum(count_over_time({}[20s])) % 3": {"": 2},
    "sum(count_over_time({}[20s])) ^ 2": {"": 64},
    "5 - sum(count_over_time({}[20s]))": {"": -3},
    "vector(1) + 1": {"": 2},
    "vector(1) > 2": {},
    "sum(vector(1))": {"": 1},
}  # fmt: skip


@pytest.mark.parametrize(("query", "expected"), INSTANTS.items())
def test_instant_query_gives_lokis_values(query: str, expected: dict[str, float]) -> None:
    assert ask_instant(query, PLAIN) == pytest.approx(expected)


UNWRAPPED = {
    "sum_over_time({} | json | unwrap v [20s])": {"p=a w=a": 15, "p=a w=b": 2.5, "p=b w=a": 3},
    "avg_over_time({} | json | unwrap v [20s])": {"p=a w=a": 5, "p=a w=b": 2.5, "p=b w=a": 3},
    "min_over_time({} | json | unwrap v [20s])": {"p=a w=a": 1, "p=a w=b": 2.5, "p=b w=a": 3},
    "max_over_time({} | json | unwrap v [20s])": {"p=a w=a": 10, "p=a w=b": 2.5, "p=b w=a": 3},
    "stddev_over_time({} | json | unwrap v [20s])": {"p=a w=a": math.sqrt(14), "p=a w=b": 0, "p=b w=a": 0},
    "stdvar_over_time({} | json | unwrap v [20s])": {"p=a w=a": 14, "p=a w=b": 0, "p=b w=a": 0},
    "first_over_time({} | json | unwrap v [20s])": {"p=a w=a": 1, "p=a w=b": 2.5, "p=b w=a": 3},
    "last_over_time({} | json | unwrap v [20s])": {"p=a w=a": 10, "p=a w=b": 2.5, "p=b w=a": 3},
    "rate({} | json | unwrap v [20s])": {"p=a w=a": 0.75, "p=a w=b": 0.125, "p=b w=a": 0.15},
    "quantile_over_time(0.5, {} | json | unwrap v [20s]) by (p)": {"p=a": 3.25, "p=b": 3},
    "quantile_over_time(1.5, {} | json | unwrap v [20s]) by (p)": {"p=a": math.inf, "p=b": math.inf},
    'max_over_time({} | json | unwrap v | w="a" [20s]) by (p)': {"p=a": 10, "p=b": 3},
    'sum by (p) (sum_over_time({} | json | unwrap v | w="a" [20s]))': {"p=a": 15, "p=b": 3},
    "sum(rate({} | json | unwrap v [20s]))": {"": 1.025},
    "absent_over_time({} | json | unwrap zz [20s])": {"": 1},
    "sum by (w) (count_over_time({} | json [20s]))": {"w=a": 4, "w=b": 1, "w=x": 1},
    "sum by (v) (count_over_time({} | json | v > 2 [20s]))": {"v=10": 1, "v=2.5": 1, "v=3": 1, "v=4": 1},
    "count_over_time({} | json | keep p [20s])": {"p=a": 5, "p=b": 1},
    # Loki divides a grouped average by all lines, with a value or not, unless a sum stands round it.
    "avg_over_time({} | json | unwrap v [20s]) by (p)": {"p=a": 3.5, "p=b": 3},
    "avg_over_time({} | json | unwrap v [20s]) without (w)": {"p=a": 3.5, "p=b": 3},
    "avg_over_time({} | json | unwrap v | v > 2 [20s]) by (p)": {"p=a": 3.3, "p=b": 3},
    "max by (p) (avg_over_time({} | json | unwrap v [20s]) by (p))": {"p=a": 3.5, "p=b": 3},
    "sum by (p) (avg_over_time({} | json | unwrap v [20s]) by (p))": {"p=a": 4.375, "p=b": 3},
}


@pytest.mark.parametrize(("query", "expected"), UNWRAPPED.items())
def test_unwrapped_values_are_aggregated_as_loki_does(query: str, expected: dict[str, float]) -> None:
    assert ask_instant(query, FIELDS) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("query", "value"), [("duration(v)", 65.5), ("duration_seconds(v)", 65.5), ("bytes(w)", 1500.0)]
)
def test_unwrap_converts_durations_and_sizes(query: str, value: float) -> None:
    rows: list[Row] = [(A, 0, "v=1m5.5s w=1.5KB", {})]
    assert ask_instant(f"sum(sum_over_time({{}} | logfmt | unwrap {query} [20s]))", rows) == {"": value}


ERRORS = {
    "sum_over_time({} | json | unwrap v [20s])": "SampleExtractionErr",
    "sum(sum_over_time({} | json | unwrap v [20s]))": "SampleExtractionErr",
    "max_over_time({} | json | unwrap v [20s]) by (p)": "SampleExtractionErr",
    "sum(count_over_time({} | json | v > 0 [20s]))": "LabelFilterErr",
    "sum by (__error__) (count_over_time({} | json | v > 0 [20s]))": "LabelFilterErr",
    "sum without (__error__) (count_over_time({} | json | v > 0 [20s]))": "LabelFilterErr",
}


@pytest.mark.parametrize(("query", "error"), ERRORS.items())
def test_metric_of_a_line_with_an_error_is_refused(query: str, error: str) -> None:
    with pytest.raises(QueryError, match=f"pipeline error: '{error}' for series: "):
        ask_instant(query, UNREADABLE)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ('sum_over_time({} | json | unwrap v | __error__="" [20s])', {"p=a w=a": 1}),
        ('sum(count_over_time({} | json | v > 0 | __error__="" [20s]))', {"": 1}),
    ],
)
def test_lines_with_an_error_can_be_filtered_out(query: str, expected: dict[str, float]) -> None:
    assert ask_instant(query, UNREADABLE) == expected


@pytest.mark.parametrize(
    "query",
    ["count_over_time({} | json [20s])", "sum by (p) (count_over_time({} | json [20s]))",
     "sum by (p) (count_over_time({} | json | v > 0 [20s]))"],
)  # fmt: skip
def test_metric_of_a_cut_line_is_refused(query: str) -> None:
    with pytest.raises(QueryError, match="JSONParserErr"):
        ask_instant(query, CUT)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("sum(count_over_time({} | json [20s]))", {"": 2}),
        ("sum(count_over_time({} | logfmt --strict [20s]))", {"": 2}),
        ("sum by (w) (count_over_time({} | json [20s]))", {"w=a": 1, "w=b": 1}),
        ('sum(count_over_time({} | json | w="b" [20s]))', {"": 1}),
        ('sum by (p) (count_over_time({} | json | w="a" [20s]))', {"p=a": 1}),
        ("sum by (p) (count_over_time({} | json | drop __error__, __error_details__ [20s]))", {"p=a": 2}),
        ("sum by (__error__) (count_over_time({} | json [20s]))", {"": 1, "__error__=JSONParserErr": 1}),
    ],
)
def test_cut_line_counts_where_all_that_is_asked_comes_before_the_cut(query: str, expected: dict[str, float]) -> None:
    assert ask_instant(query, CUT) == expected


def test_steps_are_the_multiples_that_cover_the_range() -> None:
    result = Evaluator(MemorySource()).run_metric_query(parse_expr("vector(1)"), 11 * S, 19 * S, 7 * S)
    assert name_series(result) == {"": [(7, 1), (14, 1), (21, 1)]}


@pytest.mark.parametrize(("query", "value"), [("1 + 2 * 3", 7), ("-2 ^ 2", 4), ("1 > 2", 0), ("1 == 1", 1)])
def test_scalar_query_gives_a_scalar(query: str, value: float) -> None:
    result = Evaluator(MemorySource()).run_instant_query(parse_expr(query), 5)
    assert result.type is ResultType.SCALAR
    assert result.scalar is not None
    assert (result.scalar.timestamp_ns, result.scalar.value) == (5, value)


@pytest.mark.parametrize("query", ["vector(1) / 0", "vector(1) % 0", "vector(0) / 0"])
def test_division_by_zero_is_not_a_number(query: str) -> None:
    assert math.isnan(ask_instant(query, [])[""])


@pytest.mark.parametrize(("query", "value"), [("vector(0) ^ -1", math.inf), ("vector(10) ^ 999", math.inf)])
def test_power_overflows_to_infinity(query: str, value: float) -> None:
    assert ask_instant(query, []) == {"": value}


def test_absent_series_has_the_labels_that_the_selector_demands() -> None:
    assert ask_instant('absent_over_time({app="zz", p=~"x", q!="y"}[1s])', PLAIN) == {"": 1}
    result = Evaluator(MemorySource()).run_instant_query(parse_expr('absent_over_time({app="zz"}[1s])'), S)
    assert result.series[0].labels == {"app": "zz"}


def test_sort_orders_an_instant_by_value() -> None:
    assert list(ask_instant("sort(sum by (p) (count_over_time({}[20s])))", PLAIN)) == ["p=b", "p=a"]
    assert list(ask_instant("sort_desc(sum by (p) (count_over_time({}[20s])))", PLAIN)) == ["p=a", "p=b"]


@pytest.mark.parametrize(
    "query",
    [
        "count_over_time({}[20s]) + ignoring(m) sum by (p, app) (count_over_time({}[20s]))",
        "sum by (p) (count_over_time({}[20s])) + on(p) count_over_time({}[20s])",
        "count_over_time({}[20s]) + ignoring(m) group_right sum by (p, app) (count_over_time({}[20s]))",
    ],
)
def test_ambiguous_match_is_refused(query: str) -> None:
    with pytest.raises(QueryError, match="must be explicit"):
        ask_instant(query, PLAIN)


def test_too_many_series_are_refused_with_their_number() -> None:
    evaluator = Evaluator(MemorySource(PLAIN), Limits(max_series=3))
    with pytest.raises(QueryError, match=r"maximum number of series \(3\) .* it has 4"):
        evaluator.run_instant_query(parse_expr('count_over_time({app="x"}[20s])'), 10 * S)
    grouped = evaluator.run_instant_query(parse_expr('sum(count_over_time({app="x"}[20s]))'), 10 * S)
    assert name_series(grouped) == {"": [(10, 8)]}


@pytest.mark.parametrize(
    "query",
    ["rate_counter({} | json | unwrap v [1m])", 'label_replace(rate({}[1m]), "a", "b", "c", "d")',
     "approx_topk(2, rate({}[1m]))"],
)  # fmt: skip
def test_what_is_not_evaluated_yet_is_refused(query: str) -> None:
    with pytest.raises(UnsupportedQueryError, match=query.partition("(")[0]):
        ask_instant(query, FIELDS)


@pytest.mark.parametrize("query", ["sum(1)", "max(1 + 1)"])
def test_aggregation_of_a_number_is_refused(query: str) -> None:
    with pytest.raises(QueryError, match="needs series"):
        ask_instant(query, [])


def test_log_query_is_no_instant_query() -> None:
    with pytest.raises(QueryError, match="log queries are not supported as an instant query type"):
        ask_instant("{}", PLAIN)


class CountingSource(MemorySource):
    """A source that counts by itself; the lines must not be asked for."""

    asked: tuple[int, int, int, int, str] | None = None

    def bucket(
        self,
        matchers: Sequence[Matcher],
        line_filters: Sequence[LineFilterExpr],
        start_ns: int,
        end_ns: int,
        range_ns: int,
        step_ns: int,
        aggregate: Literal["count", "bytes"],
    ) -> list[Bucket] | None:
        self.asked = (start_ns, end_ns, range_ns, step_ns, aggregate)
        return [(A, [(start_ns, 4.0), (end_ns, 6.0)]), ({**B, "m": "1"}, [(end_ns, 2.0)])]


def test_counts_come_from_the_stores_columns_where_it_has_them() -> None:
    source = CountingSource(PLAIN)
    expr = parse_expr('sum by (p) (rate({app="x"} |= "x" [2s] offset 3s))')
    result = Evaluator(source).run_metric_query(expr, 10 * S, 12 * S, S)
    assert source.asked == (7 * S, 9 * S, 2 * S, S, "count")
    assert source.pulled == 0
    assert name_series(result) == {"p=a": [(10, 2), (12, 3)], "p=b": [(12, 1)]}


@pytest.mark.parametrize("stages", ["| json", '| p="a"', '| line_format "x"'])
def test_lines_are_read_where_a_stage_needs_them(stages: str) -> None:
    source = CountingSource(PLAIN)
    Evaluator(source).run_instant_query(parse_expr(f'sum(count_over_time({{app="x"}} {stages} [20s]))'), 10 * S)
    assert source.asked is None
    assert source.pulled == len(PLAIN)


def test_log_query_pulls_no_further_than_its_limit() -> None:
    source = MemorySource([(A, time, "x", {}) for time in range(100)], batch_size=10)
    result = Evaluator(source).run_log_query(parse_expr('{app="x"}'), 0, 100, 15, Direction.BACKWARD)
    assert [entry.timestamp_ns for entry in result.streams[0].entries] == list(range(99, 84, -1))
    assert source.pulled == 20


def test_log_query_of_one_instant_gives_its_entries_in_order() -> None:
    source = MemorySource([(A, 5, "first", {}), (A, 5, "second", {}), (A, 6, "later", {})])
    evaluator = Evaluator(source)
    for direction, lines in ((Direction.FORWARD, ["first", "second"]), (Direction.BACKWARD, ["second", "first"])):
        result = evaluator.run_log_query(parse_expr('{app="x"}'), 5, 5, 10, direction)
        assert [entry.line for entry in result.streams[0].entries] == lines


def test_interval_thins_entries() -> None:
    source = MemorySource([(A, time, "x", {}) for time in range(10)])
    result = Evaluator(source).run_log_query(parse_expr('{app="x"}'), 0, 10, 0, Direction.FORWARD, 4)
    assert [entry.timestamp_ns for entry in result.streams[0].entries] == [0, 4, 8]


def test_streams_come_in_the_order_of_their_printed_labels() -> None:
    source = MemorySource([(A, 1, "x", {}), (A, 2, "x", {"tid": "1"}), (B, 3, "x", {})])
    result = Evaluator(source).run_log_query(parse_expr('{app="x"}'), 0, 10, 10, Direction.FORWARD)
    assert [dict(stream.labels) for stream in result.streams] == [{**A, "tid": "1"}, A, B]
