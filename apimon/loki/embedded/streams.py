"""The streams that the store holds: label set to id, the times each spans, and which of them a selector means.

In memory only; the store persists what it needs of it. Written by the event loop, read by the query threads.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from apimon.loki.logql.nodes import Matcher, MatchOp
from apimon.loki.logql.regex import compile_anchored
from apimon.loki.model import Labels, labels_key

StreamKey = tuple[tuple[str, str], ...]

NEVER_NS = -(1 << 63)
"""The newest entry's time of a stream that has no entry."""


@dataclass(slots=True, eq=False)
class StoredStream:
    """One label set; `oldest_ns` and `newest_ns` (inclusive) bound the entries that it ever held."""

    id: int
    labels: Labels
    oldest_ns: int = -NEVER_NS
    newest_ns: int = NEVER_NS

    def widen(self, oldest_ns: int, newest_ns: int) -> None:
        """Take entries of this span into the bounds."""
        self.oldest_ns = min(self.oldest_ns, oldest_ns)
        self.newest_ns = max(self.newest_ns, newest_ns)


class StreamCatalog:
    """Every stream by its label set."""

    def __init__(self) -> None:
        self._streams: dict[StreamKey, StoredStream] = {}
        self._next_id = 1

    def __len__(self) -> int:
        return len(self._streams)

    def restore(self, stream: StoredStream) -> None:
        """Put back a stream that was stored before."""
        self._streams[labels_key(stream.labels)] = stream
        self._next_id = max(self._next_id, stream.id + 1)

    def find(self, labels: Labels) -> StoredStream | None:
        """Return the stream of exactly these labels."""
        return self._streams.get(labels_key(labels))

    def open(self, labels: Labels) -> StoredStream:
        """Return the stream of exactly these labels, a new one if there is none."""
        key = labels_key(labels)
        stream = self._streams.get(key)
        if stream is None:
            stream = self._streams[key] = StoredStream(self._next_id, dict(key))
            self._next_id += 1
        return stream

    def all(self) -> list[StoredStream]:
        """Return every stream, oldest id first."""
        return list(self._streams.values())

    def between(self, start_ns: int, end_ns: int) -> list[StoredStream]:
        """Return the streams whose span touches `[start_ns, end_ns)`."""
        return [stream for stream in self.all() if stream.oldest_ns < end_ns and stream.newest_ns >= start_ns]

    def select(self, matchers: Sequence[Matcher], start_ns: int, end_ns: int) -> list[StoredStream]:
        """Return the streams that satisfy every matcher and whose span touches `[start_ns, end_ns)`."""
        satisfied = matches_all(matchers)
        return [stream for stream in self.between(start_ns, end_ns) if satisfied(stream.labels)]


def matches_all(matchers: Iterable[Matcher]) -> Callable[[Labels], bool]:
    """Return the predicate of label sets that satisfy every matcher; raises QueryError for a bad expression."""
    tests = [(matcher.name, _value_test(matcher.op, matcher.value)) for matcher in matchers]
    return lambda labels: all(test(labels.get(name, "")) for name, test in tests)


@lru_cache(maxsize=1024)
def _value_test(op: MatchOp, value: str) -> Callable[[str], bool]:
    if op is MatchOp.EQUAL:
        return lambda text: text == value
    if op is MatchOp.NOT_EQUAL:
        return lambda text: text != value
    matches = compile_anchored(value).matches
    return matches if op is MatchOp.REGEX else lambda text: not matches(text)
