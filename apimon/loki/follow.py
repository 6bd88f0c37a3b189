"""Follow a log query without end: history, then live entries, through every break without a gap or a double.

A break is Loki's restart, its one-hour limit on a tail, a network that went away. After it the new connection is opened
first and what was missed is queried then, so that nothing falls in between; what was delivered before is left out.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from http import HTTPStatus

from apimon.errors import ApimonError, LokiResponseError, LokiUnreachableError
from apimon.loki.client import AsyncLokiClient
from apimon.loki.logql.nodes import PipelineExpr
from apimon.loki.model import Direction
from apimon.loki.paging import EntryReader, LabeledEntry, order_entries
from apimon.loki.seen import SeenEntries
from apimon.units import NS_PER_S

Entries = list[LabeledEntry]

HISTORY_NS = 3600 * NS_PER_S
"""How far back the history is looked for: what Loki's own tail shows at most."""
OVERLAP_NS = 5 * NS_PER_S
"""How far before the start entries are read whole: what comes in while the tail is being set up may be this old."""
FUTURE_NS = 600 * NS_PER_S
"""How far ahead of the clock an entry may be; Loki refuses later ones."""

_REPLAY_ENTRIES = 5_000
"""How many of the overlap's entries a new connection repeats: those that came between its handshake and its start."""
_FIRST_DELAY_S = 0.1
_LONGEST_DELAY_S = 2.0
_SETTLED_S = 5.0
"""A connection that held this long was no part of the break before it."""


class Follower:
    """Follows one log query. `say` is told of breaks in words for a person.

    `restore` is awaited before each new attempt to connect; it may raise LokiUnreachableError.
    """

    def __init__(
        self,
        client: AsyncLokiClient,
        query: str,
        pipeline: PipelineExpr | None,
        *,
        say: Callable[[str], None],
        restore: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._client = client
        self._query = query
        self._forward = EntryReader(client, query, pipeline, direction=Direction.FORWARD)
        self._backward = EntryReader(client, query, pipeline, direction=Direction.BACKWARD)
        self._say = say
        self._restore = restore
        self._seen = SeenEntries(0)
        self._delay_s = _FIRST_DELAY_S
        self._told_of_break = False

    async def follow(self, history: int) -> AsyncGenerator[Entries, None]:
        """Yield the last `history` entries of the past hour, oldest first, then whatever comes; ends only by an error.

        Raises what the first attempt to read raises; afterwards only a refusal of the query itself.
        """
        yield await self._read_history(history)
        while True:
            connected_s = time.monotonic()
            try:
                async with aclosing(self._follow_connection()) as batches:
                    async for entries in batches:
                        yield entries
            except (LokiUnreachableError, LokiResponseError) as exc:
                if not _is_passing(exc):
                    raise
                if time.monotonic() - connected_s > _SETTLED_S:
                    self._delay_s = _FIRST_DELAY_S
                if self._delay_s == _FIRST_DELAY_S:
                    self._told_of_break = True
                    self._say(f"the tail broke: {_reason(exc)}; reconnecting")
            await self._wait()

    async def _read_history(self, history: int) -> Entries:
        now_ns = time.time_ns()
        floor_ns = now_ns - OVERLAP_NS
        self._seen = SeenEntries(floor_ns)
        recent = [found async for page in self._forward.read_pages(floor_ns, now_ns + FUTURE_NS) for found in page]
        source: Counter[int] = Counter()
        for labels, entry in recent:
            self._seen.take(source, labels, entry)
        older: Entries = []
        if len(recent) < history:
            pages = self._backward.read_pages(now_ns - HISTORY_NS, floor_ns, history - len(recent))
            older = [found async for page in pages for found in page]
        older.sort(key=lambda found: found[1].timestamp_ns)
        return [*older, *recent][-history:] if history else []

    async def _follow_connection(self) -> AsyncGenerator[Entries, None]:
        source: Counter[int] = Counter()
        # No earlier, or the replay would reach back behind what is remembered once the floor has risen.
        start_ns = max(self._seen.floor_ns, time.time_ns() - OVERLAP_NS)
        async with self._client.open_tail(self._query, start_ns=start_ns, limit=_REPLAY_ENTRIES) as tail:
            missed = 0
            async for entries in self._read_missed(self._seen.floor_ns, source):
                missed += len(entries)
                yield entries
            if self._told_of_break:
                self._told_of_break = False
                self._say(f"reconnected; {missed} lines had come in meanwhile")
            async for frame in tail:
                if entries := self._take_new(order_entries(frame.streams, Direction.FORWARD), source):
                    yield entries
                if frame.dropped:
                    # Loki leaves entries out for a slow reader; they can still be read.
                    first_ns = min(dropped.timestamp_ns for dropped in frame.dropped)
                    async for entries in self._read_missed(first_ns, source):
                        yield entries

    async def _read_missed(self, start_ns: int, live: Counter[int]) -> AsyncGenerator[Entries, None]:
        queried: Counter[int] = Counter()
        end_ns = time.time_ns() + FUTURE_NS
        async for page in self._forward.read_pages(max(start_ns, self._seen.floor_ns), end_ns):
            # What the query has not reached yet must not be forgotten before it does: it would count as new.
            if entries := self._take_new(page, queried, live, reached_ns=page[-1][1].timestamp_ns):
                yield entries

    def _take_new(
        self, entries: Entries, source: Counter[int], *others: Counter[int], reached_ns: int | None = None
    ) -> Entries:
        fresh = [found for found in entries if self._seen.take(source, *found)]
        self._seen.forget(time.time_ns(), source, *others, reached_ns=reached_ns)
        return fresh

    async def _wait(self) -> None:
        while True:
            await asyncio.sleep(self._delay_s)
            self._delay_s = min(2 * self._delay_s, _LONGEST_DELAY_S)
            if self._restore is None:
                return None
            try:
                return await self._restore()
            except LokiUnreachableError:
                continue


def _is_passing(exc: ApimonError) -> bool:
    """Whether the same request may succeed later."""
    if isinstance(exc, LokiResponseError):
        return exc.status >= HTTPStatus.INTERNAL_SERVER_ERROR or exc.status == HTTPStatus.TOO_MANY_REQUESTS
    return True


def _reason(exc: ApimonError) -> str:
    return exc.reason if isinstance(exc, LokiUnreachableError) else str(exc)
