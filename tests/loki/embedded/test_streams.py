"""The catalog: ids, spans, and which streams a selector means."""

import pytest

from apimon.errors import QueryError
from apimon.loki.embedded.streams import StoredStream, StreamCatalog
from apimon.loki.logql.nodes import Matcher, MatchOp


def catalog_of(*label_sets: dict[str, str]) -> StreamCatalog:
    catalog = StreamCatalog()
    for labels in label_sets:
        catalog.open(labels).widen(0, 100)
    return catalog


def names(catalog: StreamCatalog, *matchers: Matcher) -> list[str]:
    return [stream.labels["n"] for stream in catalog.select(matchers, 0, 101)]


def test_equal_labels_in_any_order_are_one_stream() -> None:
    catalog = StreamCatalog()
    assert catalog.open({"a": "1", "b": "2"}) is catalog.open({"b": "2", "a": "1"})
    assert catalog.find({"a": "1"}) is None


def test_new_ids_are_behind_the_restored_ones() -> None:
    catalog = StreamCatalog()
    catalog.restore(StoredStream(7, {"a": "1"}))
    assert catalog.open({"a": "2"}).id == 8
    assert catalog.open({"a": "1"}).id == 7


@pytest.mark.parametrize(
    ("op", "value", "expected"),
    [
        (MatchOp.EQUAL, "shop", ["1"]),
        (MatchOp.EQUAL, "", ["3"]),
        (MatchOp.NOT_EQUAL, "shop", ["2", "3"]),
        (MatchOp.NOT_EQUAL, "", ["1", "2"]),
        (MatchOp.REGEX, "sho", []),
        (MatchOp.REGEX, "sho.", ["1"]),
        (MatchOp.REGEX, "shop|bank", ["1", "2"]),
        (MatchOp.REGEX, ".*", ["1", "2", "3"]),
        (MatchOp.NOT_REGEX, "s.+", ["2", "3"]),
        (MatchOp.NOT_REGEX, ".+", ["3"]),
    ],
)
def test_matchers_compare_the_whole_value_and_a_missing_label_is_empty(
    op: MatchOp, value: str, expected: list[str]
) -> None:
    catalog = catalog_of({"n": "1", "app": "shop"}, {"n": "2", "app": "bank"}, {"n": "3"})
    assert names(catalog, Matcher("app", op, value)) == expected


def test_every_matcher_must_be_satisfied() -> None:
    catalog = catalog_of({"n": "1", "a": "x", "b": "y"}, {"n": "2", "a": "x"})
    assert names(catalog, Matcher("a", MatchOp.EQUAL, "x"), Matcher("b", MatchOp.EQUAL, "y")) == ["1"]


def test_a_regular_expression_that_is_none_is_a_query_error() -> None:
    with pytest.raises(QueryError, match="error parsing regexp"):
        names(catalog_of({"n": "1"}), Matcher("n", MatchOp.REGEX, "("))


@pytest.mark.parametrize(
    ("start_ns", "end_ns", "found"), [(0, 10, 0), (0, 11, 1), (20, 21, 1), (21, 30, 0), (12, 13, 1)]
)
def test_only_streams_whose_span_touches_the_range_are_found(start_ns: int, end_ns: int, found: int) -> None:
    catalog = StreamCatalog()
    catalog.open({"n": "1"}).widen(10, 20)
    assert len(catalog.between(start_ns, end_ns)) == found


def test_a_stream_without_entries_is_in_no_range() -> None:
    catalog = StreamCatalog()
    catalog.open({"n": "1"})
    assert catalog.between(-(1 << 63), (1 << 63) - 1) == []
