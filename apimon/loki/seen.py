"""Which entries a tail has delivered lately, so that what is read again after a break is not shown again.

Pure: the clock's reading is passed in.
"""

from collections import Counter, deque

from apimon.loki.model import Entry, Labels, labels_key
from apimon.units import NS_PER_S

SPAN_NS = 60 * NS_PER_S
"""How far behind the newest an entry may come in and still be found after a break."""
MAX_ENTRIES = 50_000
"""How many entries are remembered at most; more of them in the span shorten it."""


class SeenEntries:
    """Every entry delivered with a timestamp of `floor_ns` or later, counted.

    Entries that look the same (labels, timestamp, line) are told apart by their number only: a source that gives one
    three times after two were delivered has one new. A source is one connection of a tail, or one query.
    """

    def __init__(self, floor_ns: int, *, span_ns: int = SPAN_NS, max_entries: int = MAX_ENTRIES) -> None:
        self.floor_ns = floor_ns
        """From here on everything that was delivered is known; what is older is not."""
        self._span_ns = span_ns
        self._max_entries = max_entries
        self._newest_ns = floor_ns
        self._delivered: Counter[int] = Counter()
        self._arrivals: deque[tuple[int, int]] = deque()

    def __len__(self) -> int:
        return len(self._arrivals)

    def take(self, source: Counter[int], labels: Labels, entry: Entry) -> bool:
        """Return whether the entry is new, which makes it delivered. `source` counts what one source has given."""
        if entry.timestamp_ns < self.floor_ns:
            # Older than what is read again: it can only be a late arrival.
            return True
        key = hash((labels_key(labels), entry.timestamp_ns, entry.line))
        source[key] += 1
        if source[key] <= self._delivered[key]:
            return False
        self._delivered[key] += 1
        self._arrivals.append((entry.timestamp_ns, key))
        self._newest_ns = max(self._newest_ns, entry.timestamp_ns)
        return True

    def forget(self, now_ns: int, *sources: Counter[int], reached_ns: int | None = None) -> None:
        """Raise the floor to a span behind the newest entry, or behind `now_ns` where an entry's clock runs ahead.

        `sources` are those still in use; they forget the same entries. A source that goes forward in time has come to
        `reached_ns`: whatever the bounds, nothing from there on is forgotten.
        """
        floor_ns = min(self._newest_ns, now_ns) - self._span_ns
        if len(self._arrivals) > self._max_entries:
            self._arrivals = deque(sorted(self._arrivals))
            # Down to the half, so that it isn't sorted for every entry.
            floor_ns = max(floor_ns, self._arrivals[-(self._max_entries // 2)][0])
        if reached_ns is not None:
            floor_ns = min(floor_ns, reached_ns)
        self.floor_ns = max(self.floor_ns, floor_ns)
        while self._arrivals and self._arrivals[0][0] < self.floor_ns:
            _, key = self._arrivals.popleft()
            self._delivered.pop(key, None)
            for source in sources:
                source.pop(key, None)
