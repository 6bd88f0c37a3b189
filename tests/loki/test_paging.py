"""Paging loses nothing and doubles nothing, whatever the page size, the timestamps and the lines."""

import re
from collections import Counter
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apimon.errors import ApimonError
from apimon.loki.client import AsyncLokiClient
from apimon.loki.logql.nodes import PipelineExpr
from apimon.loki.logql.parser import parse_expr
from apimon.loki.model import Direction, Entry, Labels, Stream, labels_key
from apimon.loki.paging import EntryReader, LabeledEntry, order_entries, split_pattern
from tests.loki.fake_loki import LogStore, as_python, running_fake_loki

QUERY = '{service=~".+"}'


def read_with(
    store: LogStore, *, direction: Direction = Direction.BACKWARD, page_entries: int, query: str = QUERY
) -> EntryReader:
    pipeline = parse_expr(query)
    assert isinstance(pipeline, PipelineExpr)
    client = cast("AsyncLokiClient", store)
    return EntryReader(client, query, pipeline, direction=direction, page_entries=page_entries)


async def read_all(reader: EntryReader, start_ns: int = 0, end_ns: int = 100, limit: int = 0) -> list[LabeledEntry]:
    return [found async for page in reader.read_pages(start_ns, end_ns, limit) for found in page]


def count(entries: list[LabeledEntry]) -> Counter[object]:
    return Counter((labels_key(labels), entry.timestamp_ns, entry.line) for labels, entry in entries)


STREAMS: list[Labels] = [{"service": "a"}, {"service": "a", "level": "info"}, {"service": "b"}]
ENTRIES = st.lists(
    st.tuples(st.sampled_from(STREAMS), st.integers(0, 5), st.text("ab.$(\n", max_size=4)),
    max_size=60,
    unique_by=lambda stored: (labels_key(stored[0]), stored[1], stored[2]),
)


@given(ENTRIES, st.integers(2, 7), st.sampled_from(Direction))
async def test_every_entry_is_read_once_and_in_order(
    entries: list[tuple[Labels, int, str]], page_entries: int, direction: Direction
) -> None:
    store = LogStore()
    for labels, timestamp_ns, line in entries:
        store.add(labels, timestamp_ns, line)
    found = await read_all(read_with(store, direction=direction, page_entries=page_entries))
    assert count(found) == count(store.entries)
    timestamps = [entry.timestamp_ns for _, entry in found]
    assert timestamps == sorted(timestamps, reverse=direction is Direction.BACKWARD)


@given(ENTRIES, st.integers(2, 7), st.integers(1, 70))
async def test_a_limit_gives_the_newest_entries(
    entries: list[tuple[Labels, int, str]], page_entries: int, limit: int
) -> None:
    store = LogStore()
    for labels, timestamp_ns, line in entries:
        store.add(labels, timestamp_ns, line)
    found = await read_all(read_with(store, page_entries=page_entries), limit=limit)
    newest = sorted((entry.timestamp_ns for _, entry in store.entries), reverse=True)[:limit]
    assert [entry.timestamp_ns for _, entry in found] == newest
    assert not count(found) - count(store.entries)


async def test_a_filter_of_the_query_still_counts_where_one_nanosecond_is_split() -> None:
    store = LogStore()
    for number in range(50):
        store.add({"service": "a"}, 7, f"{'keep' if number % 2 else 'skip'} {number}")
    found = await read_all(read_with(store, page_entries=4, query='{service="a"} |= "keep"'))
    assert sorted(entry.line for _, entry in found) == sorted(f"keep {number}" for number in range(1, 50, 2))


async def test_entries_that_look_the_same_after_the_pipeline_are_all_kept() -> None:
    store = LogStore()
    for timestamp_ns in (5, 5, 5, 4, 3):
        store.add({"service": "a"}, timestamp_ns, "the same")
    assert len(await read_all(read_with(store, page_entries=4))) == 5


async def test_entries_that_cannot_be_told_apart_are_an_error_not_a_loss() -> None:
    store = LogStore()
    for _ in range(5):
        store.add({"service": "a"}, 5, "the same")
    with pytest.raises(ApimonError, match="more than 4 entries at 5 ns"):
        await read_all(read_with(store, page_entries=4))


async def test_a_query_only_loki_understands_is_paged_up_to_a_full_nanosecond() -> None:
    store = LogStore()
    for timestamp_ns in range(20):
        store.add({"service": "a"}, timestamp_ns, "line")
    client = cast("AsyncLokiClient", store)
    assert len(await read_all(EntryReader(client, QUERY, None, page_entries=3))) == 20
    for number in range(3):
        store.add({"service": "a"}, 9, f"another {number}")
    with pytest.raises(ApimonError, match="at 9 ns"):
        await read_all(EntryReader(client, QUERY, None, page_entries=3))


async def test_pages_shrink_to_the_limit_that_loki_has() -> None:
    async with running_fake_loki() as loki, AsyncLokiClient(loki.url) as client:
        loki.store.max_entries = 4
        for number in range(11):
            loki.store.add({"service": "a"}, number, f"line {number}")
        reader = EntryReader(client, QUERY, None)
        assert [entry.line for _, entry in await read_all(reader)] == [f"line {number}" for number in range(10, -1, -1)]


def test_entries_of_one_time_come_by_stream_and_in_the_order_given() -> None:
    streams = [
        Stream({"service": "b"}, [Entry(2, "b1"), Entry(2, "b2"), Entry(1, "b3")]),
        Stream({"service": "a"}, [Entry(2, "a1"), Entry(1, "a2")]),
    ]
    found = order_entries(streams, Direction.BACKWARD)
    assert [entry.line for _, entry in found] == ["a1", "b1", "b2", "a2", "b3"]


@given(st.lists(st.text(max_size=6), min_size=1, max_size=8))
def test_a_split_pattern_parts_the_lines(lines: list[str]) -> None:
    pattern = split_pattern(lines)
    if pattern is None:
        assert len(set(lines)) == 1
        return
    matching = {bool(re.search(as_python(pattern), line)) for line in lines}
    assert matching == {True, False}
