"""Reading the store: time, selectors, line filters, order; and windows in columns beside the same counted here."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apimon.errors import QueryError
from apimon.loki.embedded.selection import QueryCancelledError, StoreSource
from apimon.loki.embedded.store import Store
from apimon.loki.logql.nodes import LineFilterExpr, LineOp, Matcher, MatchOp
from apimon.loki.model import Direction
from tests.loki.embedded.store_support import append, batch, equal, select

ALL = Matcher("app", MatchOp.NOT_EQUAL, "")


_examples = count()


@pytest.fixture(scope="module")
def shared_store() -> Iterator[Store]:
    opened = Store(None)
    yield opened
    opened.close()


@pytest.fixture
def store() -> Iterator[Store]:
    opened = Store(None)
    yield opened
    opened.close()


def test_the_start_is_inside_and_the_end_is_not(store: Store) -> None:
    append(store, {"app": "a"}, *((number, str(number)) for number in range(10)))
    assert [shown[0] for shown in select(store, start_ns=3, end_ns=6)] == [3, 4, 5]
    assert select(store, start_ns=5, end_ns=5) == []


def test_streams_are_merged_by_time_in_both_directions(store: Store) -> None:
    append(store, {"app": "a"}, (1, "a1"), (3, "a3"))
    append(store, {"app": "b"}, (2, "b2"), (4, "b4"))
    assert [line for _, line in select(store, ALL)] == ["a1", "b2", "a3", "b4"]
    assert [line for _, line in select(store, ALL, direction=Direction.BACKWARD)] == ["b4", "a3", "b2", "a1"]
    assert select(store, equal("app", "b"), direction=Direction.BACKWARD) == [(4, "b4"), (2, "b2")]


def test_more_entries_than_a_slice_holds_come_whole_and_in_order(store: Store) -> None:
    append(store, {"app": "a"}, *((number * 7, str(number)) for number in range(9_000)))
    forward = select(store)
    assert [line for _, line in forward] == [str(number) for number in range(9_000)]
    assert select(store, direction=Direction.BACKWARD) == forward[::-1]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=20))
def test_every_text_comes_back_as_it_was(shared_store: Store, lines: list[str]) -> None:
    labels = {"n": str(next(_examples)), "text": lines[0] or "-"}
    append(shared_store, labels, *enumerate(lines), said=lines[0])
    assert select(shared_store, equal("n", labels["n"]), equal("text", labels["text"])) == list(enumerate(lines))
    for line in lines:
        found = select(shared_store, equal("n", labels["n"]), line_filters=[LineFilterExpr.of(LineOp.CONTAINS, line)])
        assert found == [(number, other) for number, other in enumerate(lines) if line in other]


LINES = ["GET /a 200", "GET /b 500", "post\nnewline", "100% 'quoted' \"x\"", "é 中", ""]


@pytest.mark.parametrize(
    ("line_filter", "kept"),
    [
        (LineFilterExpr.of(LineOp.CONTAINS, "GET"), [0, 1]),
        (LineFilterExpr.of(LineOp.CONTAINS, "get"), []),
        (LineFilterExpr.of(LineOp.CONTAINS, "/a", "中"), [0, 4]),
        (LineFilterExpr.of(LineOp.CONTAINS, ""), [0, 1, 2, 3, 4, 5]),
        (LineFilterExpr.of(LineOp.CONTAINS, "%"), [3]),
        (LineFilterExpr.of(LineOp.CONTAINS, "'quoted' \""), [3]),
        (LineFilterExpr.of(LineOp.NOT_CONTAINS, "GET", "é"), [2, 3, 5]),
        (LineFilterExpr.of(LineOp.REGEX, "2.0$"), [0]),
        (LineFilterExpr.of(LineOp.REGEX, "(?i)get"), [0, 1]),
        (LineFilterExpr.of(LineOp.REGEX, "post.new"), []),
        (LineFilterExpr.of(LineOp.REGEX, "(?s)post.new"), [2]),
        (LineFilterExpr.of(LineOp.REGEX, "^GET", "中$"), [0, 1, 4]),
        (LineFilterExpr.of(LineOp.NOT_REGEX, "[0-9]+"), [2, 4, 5]),
    ],
)
def test_line_filters(store: Store, line_filter: LineFilterExpr, kept: list[int]) -> None:
    append(store, {"app": "a"}, *enumerate(LINES))
    assert [shown[0] for shown in select(store, line_filters=[line_filter])] == kept


def test_a_regular_expression_that_is_none_is_a_query_error(store: Store) -> None:
    append(store, {"app": "a"}, (1, "x"))
    with pytest.raises(QueryError):
        select(store, line_filters=[LineFilterExpr.of(LineOp.REGEX, "(")])


def test_metadata_that_a_label_hides_is_renamed(store: Store) -> None:
    append(store, {"level": "info"}, (1, "x"), level="warn", trace="7")
    source = StoreSource(store)
    (row,) = next(iter(source.select([], 0, 2, line_filters=[], direction=Direction.FORWARD)))
    assert row[3] == {"level_extracted": "warn", "trace": "7"}
    source.close()


def test_a_cancelled_query_ends(store: Store) -> None:
    append(store, {"app": "a"}, *((number, str(number)) for number in range(5_000)))
    source = StoreSource(store)
    rows = source.select([], 0, 5_000, line_filters=[], direction=Direction.FORWARD)
    next(rows)
    source.cancel()
    with pytest.raises(QueryCancelledError):
        for _ in rows:
            pass
    source.close()


def test_two_reads_of_one_query_do_not_disturb_each_other(store: Store) -> None:
    append(store, {"app": "a"}, *((number, str(number)) for number in range(5_000)))
    source = StoreSource(store)
    pairs = zip(
        source.select([], 0, 5_000, line_filters=[], direction=Direction.FORWARD),
        source.select([], 0, 5_000, line_filters=[], direction=Direction.BACKWARD),
        strict=True,
    )
    read = [(len(forward), len(backward)) for forward, backward in pairs]
    assert [sum(side) for side in zip(*read, strict=True)] == [5_000, 5_000]
    source.close()


def windows_of(
    entries: Sequence[tuple[str, int, str]], start: int, end: int, width: int, step: int
) -> list[tuple[str, list[tuple[int, float]]]]:
    found: dict[str, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    for app, time, line in entries:
        for at in range(start, end + 1, step):
            if at - width < time <= at:
                found[app][at] += len(line.encode())
    return [(app, sorted(steps.items())) for app, steps in sorted(found.items())]


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(0, 120), st.text(st.sampled_from("xé"), max_size=3)), max_size=40
    ),
    st.integers(0, 60),
    st.integers(0, 80),
    st.integers(1, 50),
    st.integers(1, 30),
)
def test_windows_in_columns_are_those_of_the_rows(
    shared_store: Store, entries: list[tuple[str, int, str]], start: int, length: int, width: int, step: int
) -> None:
    distinct = list(dict.fromkeys(entries))
    example = str(next(_examples))
    batches = [batch(shared_store, {"app": app, "n": example}, [(time, line)]) for app, time, line in distinct]
    shared_store.append(batches).result(timeout=30)
    source = StoreSource(shared_store)
    found = source.bucket([equal("n", example)], [], start, start + length, width, step, "bytes")
    source.close()
    assert found is not None
    ordered = sorted(((labels["app"], steps) for labels, steps in found), key=lambda bucket: bucket[0])
    assert ordered == windows_of(distinct, start, start + length, width, step)


def test_streams_that_metadata_makes_one_series_are_left_to_the_rows(store: Store) -> None:
    append(store, {"app": "a", "x": "1"}, (1, "l"))
    append(store, {"app": "a"}, (1, "l"), x="1")
    source = StoreSource(store)
    assert source.bucket([ALL], [], 1, 1, 1, 1, "count") is None
    source.close()


def test_measure_counts_entries_and_bytes(store: Store) -> None:
    append(store, {"app": "a"}, (1, "é"), (2, "xyz"))
    source = StoreSource(store)
    assert source.measure([ALL], 0, 10) == (2, 5)
    assert source.measure([equal("app", "b")], 0, 10) == (0, 0)
    source.close()
