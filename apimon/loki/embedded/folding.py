"""Fold accepted pushes into the database: in large batches, each entry once.

An entry newer than everything its stream has in the database is new for certain. The others are looked up; that is rare
unless senders repeat themselves or run backwards.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

from apimon.loki.embedded.batches import StreamBatch
from apimon.loki.embedded.database import EntryKey, Rows
from apimon.loki.embedded.streams import NEVER_NS

Lookup = Callable[[Sequence[tuple[int, int]]], set[EntryKey]]
"""Returns the stored entries that have one of these (stream id, Unix ns) pairs."""


class Newest:
    """The newest time folded so far, by stream id; too new is harmless, it only means more look-ups."""

    def __init__(self, known: dict[int, int]) -> None:
        self._by_stream = known

    def advance(self, stream_id: int, timestamps: Sequence[int]) -> list[int]:
        """Take the times in and return those that may have been stored before."""
        newest = self._by_stream.get(stream_id, NEVER_NS)
        if timestamps[0] > newest and all(earlier < later for earlier, later in pairwise(timestamps)):
            self._by_stream[stream_id] = timestamps[-1]
            return []
        suspects = []
        for timestamp_ns in timestamps:
            if timestamp_ns > newest:
                newest = timestamp_ns
            else:
                suspects.append(timestamp_ns)
        self._by_stream[stream_id] = newest
        return suspects


def collect_rows(batches: Iterable[StreamBatch], newest: Newest, lookup: Lookup) -> Rows:
    """Return the entries of the batches in order, without those that are stored or came before in the batches."""
    rows = Rows([], [], [], [])
    suspects: set[tuple[int, int]] = set()
    for batch in batches:
        stream_id = batch.stream.id
        rows.stream_ids.extend([stream_id] * len(batch.lines))
        rows.timestamps.extend(batch.timestamps)
        rows.lines.extend(batch.lines)
        rows.metadata.extend(batch.metadata)
        suspects.update((stream_id, timestamp_ns) for timestamp_ns in newest.advance(stream_id, batch.timestamps))
    return _without_duplicates(rows, suspects, lookup(list(suspects))) if suspects else rows


def _without_duplicates(rows: Rows, suspects: set[tuple[int, int]], seen: set[EntryKey]) -> Rows:
    kept = Rows([], [], [], [])
    for entry in zip(rows.stream_ids, rows.timestamps, rows.lines, rows.metadata, strict=True):
        if entry[:2] in suspects:
            if entry in seen:
                continue
            seen.add(entry)
        for column, value in zip((kept.stream_ids, kept.timestamps, kept.lines, kept.metadata), entry, strict=True):
            column.append(value)  # type: ignore[attr-defined]  # mypy joins int and str lists to Sequence
    return kept
