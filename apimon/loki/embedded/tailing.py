"""Live tails: every durable push is offered to each of them; one that reads too slowly loses entries and is told.

Belongs to the event loop; nothing here touches the store.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from apimon.errors import UsageError
from apimon.loki.embedded.batches import Accepted, StreamBatch, label_metadata
from apimon.loki.model import Labels, labels_key
from apimon.loki.wire.answers import CategorizedEntry, merge_labels

_MAX_QUEUED = 10_000
_MAX_QUEUED_CHARS = 16 << 20
"""Of the lines that wait for one client: ten thousand may be as many times 256 KB."""
_MAX_DROPPED = 1_000
_MAX_RECENT = 20_000


@dataclass(frozen=True, slots=True)
class TailedEntry:
    """An entry as a tail shows it: its labels told apart, since some clients ask for them so."""

    labels: Labels
    entry: CategorizedEntry


EntryKey = tuple[int, str, tuple[tuple[str, str], ...]]

Sieve = Callable[[Labels, int, str, Labels], TailedEntry | None]
"""Given stream labels, Unix ns, line and metadata, returns what the query shows of the entry, None for nothing."""


@dataclass(eq=False)
class Tail:
    """One client's tail: entries that wait to be sent, oldest first."""

    wants: Callable[[Labels], bool]
    sieve: Sieve
    queued: deque[TailedEntry] = field(default_factory=deque)
    dropped: list[TailedEntry] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while something is queued."""
    queued_chars: int = 0

    def offer(self, batch: StreamBatch, indices: Sequence[int]) -> None:
        """Take the entries that the query shows."""
        labels = batch.stream.labels
        if not self.wants(labels):
            return
        for index in indices:
            metadata = label_metadata(batch.metadata[index], labels)
            shown = self.sieve(labels, batch.timestamps[index], batch.lines[index], metadata)
            if shown is not None:
                self._queue(shown)
        if self.queued:
            self.arrived.set()

    def _queue(self, entry: TailedEntry) -> None:
        size = len(entry.entry.line)
        if len(self.queued) < _MAX_QUEUED and self.queued_chars + size <= _MAX_QUEUED_CHARS:
            self.queued.append(entry)
            self.queued_chars += size
        elif len(self.dropped) < _MAX_DROPPED:
            # A client is told labels and time of what it missed.
            self.dropped.append(TailedEntry(entry.labels, replace(entry.entry, line="")))

    def take(self, most: int) -> tuple[list[TailedEntry], list[TailedEntry]]:
        """Return up to `most` entries, and those that were dropped since the last time."""
        taken = [self.queued.popleft() for _ in range(min(most, len(self.queued)))]
        self.queued_chars -= sum(len(tailed.entry.line) for tailed in taken)
        dropped, self.dropped = self.dropped, []
        if not self.queued:
            self.arrived.clear()
        return taken, dropped

    def forget(self, shown: set[EntryKey]) -> None:
        """Leave out what waits and was shown already, as history."""
        self.queued = deque(entry for entry in self.queued if key_of(entry) not in shown)
        self.queued_chars = sum(len(tailed.entry.line) for tailed in self.queued)
        if not self.queued:
            self.arrived.clear()


def key_of(tailed: TailedEntry) -> EntryKey:
    """Return what makes two entries the same to their reader."""
    return tailed.entry.timestamp_ns, tailed.entry.line, labels_key(merge_labels(tailed.labels, tailed.entry))


class TailHub:
    """The tails of one server."""

    def __init__(self, max_tails: int) -> None:
        self._max_tails = max_tails
        self._tails: list[Tail] = []
        self.closed = asyncio.Event()
        """Set when every tail has to end."""
        # A sender that missed our 204 sends the same again: the store keeps one, and a tail shows one.
        # By hash: the lines themselves would be kept long after they were sent.
        self._recent: OrderedDict[int, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._tails)

    def close(self) -> None:
        """Let every tail end."""
        self.closed.set()

    def join(self, wants: Callable[[Labels], bool], sieve: Sieve) -> Tail:
        """Return a new tail, which collects from now on; raises UsageError where there are too many."""
        if len(self._tails) >= self._max_tails:
            raise UsageError(
                "max concurrent tail requests limit exceeded, count > limit "
                f"({len(self._tails) + 1} > {self._max_tails}): end another tail first"
            )
        tail = Tail(wants, sieve)
        self._tails.append(tail)
        return tail

    def leave(self, tail: Tail) -> None:
        """Offer nothing more to this tail."""
        self._tails.remove(tail)
        if not self._tails:
            self._recent.clear()

    def publish(self, accepted: Accepted) -> None:
        """Offer entries, which are durable by now, to every tail."""
        if not self._tails:
            return
        for batch in accepted:
            indices = self._unseen(batch)
            for tail in self._tails:
                tail.offer(batch, indices)

    def _unseen(self, batch: StreamBatch) -> list[int]:
        unseen = []
        rows = zip(batch.timestamps, batch.lines, batch.metadata, strict=True)
        for index, (timestamp_ns, line, metadata) in enumerate(rows):
            key = hash((batch.stream.id, timestamp_ns, line, metadata))
            if key not in self._recent:
                self._recent[key] = None
                unseen.append(index)
        while len(self._recent) > _MAX_RECENT:
            self._recent.popitem(last=False)
        return unseen
