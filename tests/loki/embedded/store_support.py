"""Stores with entries in them, without a server."""

from collections.abc import Sequence
from pathlib import Path

from apimon.loki.embedded.batches import StreamBatch, encode_metadata
from apimon.loki.embedded.selection import StoreSource
from apimon.loki.embedded.store import Store
from apimon.loki.logql.nodes import LineFilterExpr, Matcher, MatchOp
from apimon.loki.model import Direction, Labels

Shown = tuple[int, str]


def batch(store: Store, labels: Labels, entries: Sequence[tuple[int, str]], **metadata: str) -> StreamBatch:
    stream = store.catalog.open(labels)
    times = [timestamp_ns for timestamp_ns, _ in entries]
    stream.widen(min(times), max(times))
    return StreamBatch(stream, times, [line for _, line in entries], [encode_metadata(metadata)] * len(entries))


def append(store: Store, labels: Labels, *entries: tuple[int, str], **metadata: str) -> None:
    store.append([batch(store, labels, entries, **metadata)]).result(timeout=30)


def select(
    store: Store,
    *matchers: Matcher,
    start_ns: int = -(1 << 62),
    end_ns: int = 1 << 62,
    line_filters: Sequence[LineFilterExpr] = (),
    direction: Direction = Direction.FORWARD,
) -> list[Shown]:
    source = StoreSource(store)
    try:
        batches = source.select(matchers, start_ns, end_ns, line_filters=line_filters, direction=direction)
        return [(row[1], row[2]) for rows in batches for row in rows]
    finally:
        source.close()


def equal(name: str, value: str) -> Matcher:
    return Matcher(name, MatchOp.EQUAL, value)


def store_file(folder: Path) -> Path:
    return folder / "store.duckdb"
