"""Read every entry of a log query, page by page: nothing lost, nothing doubled, at any page size.

Loki gives at most a limit of entries, and a page may end in the middle of one timestamp. So a page's last timestamp is
left out of it and read again as the first of the next page. Where a whole page is one timestamp, that nanosecond is
read stream by stream, and a stream that still has too many is split by its lines. Nothing has to be told apart
afterwards, so entries that look the same are all kept.
"""

import re
from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import replace

from apimon.errors import ApimonError, LokiResponseError
from apimon.loki.client import AsyncLokiClient
from apimon.loki.logql.nodes import LineFilterExpr, LineOp, Matcher, MatchOp, PipelineExpr, SelectorExpr
from apimon.loki.model import Direction, Entry, Labels, Stream, labels_key

LabeledEntry = tuple[Labels, Entry]
"""An entry and the labels of its stream."""

MAX_PAGE_ENTRIES = 5_000
"""Loki's default limit on the entries of one answer."""

_MAX_SPLITS = 100
"""How often one stream's nanosecond is halved; a line that is no text could be halved for ever."""

_LIMIT_REFUSED = re.compile(r"max_entries_limit\w* \(\d+ > (\d+)\)")
_RE2_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$]")


def order_entries(streams: Iterable[Stream], direction: Direction) -> list[LabeledEntry]:
    """Return the entries of all streams by time; those of one timestamp by labels, then as Loki gave them."""
    by_labels = sorted(streams, key=lambda stream: labels_key(stream.labels))
    entries = [(stream.labels, entry) for stream in by_labels for entry in stream.entries]
    sign = 1 if direction is Direction.FORWARD else -1
    entries.sort(key=lambda found: sign * found[1].timestamp_ns)
    return entries


class EntryReader:
    """Reads the entries of one log query. `pipeline` is its parsed form, None where only Loki understands it."""

    def __init__(
        self,
        client: AsyncLokiClient,
        query: str,
        pipeline: PipelineExpr | None,
        *,
        direction: Direction = Direction.BACKWARD,
        page_entries: int = MAX_PAGE_ENTRIES,
    ) -> None:
        self._client = client
        self._query = query
        self._pipeline = pipeline
        self._direction = direction
        self._page_entries = page_entries

    async def read_pages(self, start_ns: int, end_ns: int, limit: int = 0) -> AsyncGenerator[list[LabeledEntry], None]:
        """Yield the entries of [start, end) in pages, ordered as the direction says; at most `limit`, 0 is all.

        Raises the errors of `AsyncLokiClient.query_range`, and ApimonError where more entries than a page holds can't
        be told apart.
        """
        given = 0
        while start_ns < end_ns:
            wanted = limit - given if limit else 0
            page, is_last = await self._read_page(start_ns, end_ns, wanted)
            if not is_last:
                page, start_ns, end_ns = await self._cut(page, start_ns, end_ns)
            page = page[:wanted] if limit else page
            if page:
                yield page
            given += len(page)
            if is_last or (limit and given >= limit):
                return

    async def _read_page(self, start_ns: int, end_ns: int, wanted: int) -> tuple[list[LabeledEntry], bool]:
        """Return a page and whether it has everything that is wanted (0: everything there is)."""
        while True:
            size = min(wanted, self._page_entries) if wanted else self._page_entries
            try:
                page = await self._fetch(self._query, start_ns, end_ns, size)
            except LokiResponseError as exc:
                self._shrink_pages(exc)
            else:
                return page, len(page) < size or size == wanted

    def _shrink_pages(self, refusal: LokiResponseError) -> None:
        match = _LIMIT_REFUSED.search(refusal.body)
        if match is None or not 0 < int(match[1]) < self._page_entries:
            raise refusal
        self._page_entries = int(match[1])

    async def _cut(self, page: list[LabeledEntry], start_ns: int, end_ns: int) -> tuple[list[LabeledEntry], int, int]:
        """Return what is complete of a full page, and the bounds of what is left."""
        is_forward = self._direction is Direction.FORWARD
        last_ns = page[-1][1].timestamp_ns
        complete = [found for found in page if found[1].timestamp_ns != last_ns]
        if complete:
            return (complete, last_ns, end_ns) if is_forward else (complete, start_ns, last_ns + 1)
        instant = await self._read_instant(last_ns)
        return (instant, last_ns + 1, end_ns) if is_forward else (instant, start_ns, last_ns)

    async def _read_instant(self, timestamp_ns: int) -> list[LabeledEntry]:
        """Return all entries of one nanosecond, which are more than a page."""
        pipeline = self._pipeline
        if pipeline is None:
            raise _too_many(timestamp_ns, self._page_entries)
        label_sets = await self._client.series(str(pipeline.selector), start_ns=timestamp_ns, end_ns=timestamp_ns + 1)
        names = {name for labels in label_sets for name in labels}
        entries: list[LabeledEntry] = []
        for labels in sorted(label_sets, key=labels_key):
            entries += await self._read_split(replace(pipeline, selector=_select_stream(labels, names)), timestamp_ns)
        return entries

    async def _read_split(
        self, pipeline: PipelineExpr, timestamp_ns: int, filters: tuple[LineFilterExpr, ...] = ()
    ) -> list[LabeledEntry]:
        """Return one stream's entries of one nanosecond whose stored lines pass `filters`."""
        narrowed = PipelineExpr(pipeline.selector, (*filters, *pipeline.stages))
        page = await self._fetch_instant(narrowed, timestamp_ns)
        if len(page) < self._page_entries:
            return page
        stored = await self._fetch_instant(PipelineExpr(pipeline.selector, filters), timestamp_ns)
        pattern = split_pattern([entry.line for _, entry in stored])
        if pattern is None or len(filters) == _MAX_SPLITS:
            raise _too_many(timestamp_ns, self._page_entries)
        entries: list[LabeledEntry] = []
        for op in (LineOp.REGEX, LineOp.NOT_REGEX):
            half = LineFilterExpr.of(op, pattern)
            entries += await self._read_split(pipeline, timestamp_ns, (*filters, half))
        return entries

    async def _fetch_instant(self, pipeline: PipelineExpr, timestamp_ns: int) -> list[LabeledEntry]:
        return await self._fetch(str(pipeline), timestamp_ns, timestamp_ns + 1, self._page_entries)

    async def _fetch(self, query: str, start_ns: int, end_ns: int, limit: int) -> list[LabeledEntry]:
        result = await self._client.query_range(
            query, start_ns=start_ns, end_ns=end_ns, limit=limit, direction=self._direction
        )
        return order_entries(result.streams, self._direction)


def split_pattern(lines: Sequence[str]) -> str | None:
    """Return an RE2 pattern that some of the lines match and some don't; None where all are the same."""
    prefix = _common_prefix(min(lines), max(lines))
    following = sorted({line[len(prefix) : len(prefix) + 1] for line in lines})
    if len(following) < 2:
        return None
    half = following[: len(following) // 2]
    # The end of the line is one of the ways to go on.
    branches = "|".join(_escape_re2(char) if char else "$" for char in half)
    return f"(?s)^{_escape_re2(prefix)}(?:{branches})"


def _common_prefix(first: str, last: str) -> str:
    same = (position for position, (one, other) in enumerate(zip(first, last, strict=False)) if one != other)
    return first[: next(same, min(len(first), len(last)))]


def _escape_re2(text: str) -> str:
    return _RE2_SPECIAL.sub(r"\\\g<0>", text)


def _select_stream(labels: Labels, names: Iterable[str]) -> SelectorExpr:
    """Return the selector of exactly this stream among streams with these label names."""
    return SelectorExpr(tuple(Matcher(name, MatchOp.EQUAL, labels.get(name, "")) for name in sorted(names)))


def _too_many(timestamp_ns: int, page_entries: int) -> ApimonError:
    return ApimonError(
        f"more than {page_entries} entries at {timestamp_ns} ns can't be told apart to be read in parts: "
        "narrow the query by a label or a line filter"
    )
