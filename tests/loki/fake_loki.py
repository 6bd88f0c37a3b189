"""A Loki for the client's tests: it answers exactly, and breaks when it is told to.

It understands selectors and line filters. Entries of one timestamp are cut off at a limit in an order of its own, as a
real Loki's are.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

from aiohttp import WSCloseCode, web
from aiohttp.typedefs import Handler

from apimon.loki.logql.nodes import LineFilterExpr, LineOp, Matcher, MatchOp, PipelineExpr
from apimon.loki.logql.parser import parse_expr
from apimon.loki.model import Direction, Entry, Labels, QueryResult, ResultType, Stream, labels_key

Stored = tuple[Labels, Entry]


def matches(matcher: Matcher, labels: Labels) -> bool:
    value = labels.get(matcher.name, "")
    if matcher.op in (MatchOp.EQUAL, MatchOp.NOT_EQUAL):
        return (value == matcher.value) == (matcher.op is MatchOp.EQUAL)
    return (re.fullmatch(matcher.value, value) is not None) == (matcher.op is MatchOp.REGEX)


def as_python(pattern: str) -> str:
    """Return the pattern with RE2's end of text; Python's also matches before a last newline."""
    return pattern.replace("(?:$", r"(?:\Z")


def passes(line_filter: LineFilterExpr, line: str) -> bool:
    if line_filter.op in (LineOp.CONTAINS, LineOp.NOT_CONTAINS):
        found = any(term.value in line for term in line_filter.terms)
        return found == (line_filter.op is LineOp.CONTAINS)
    found = any(re.search(as_python(term.value), line) for term in line_filter.terms)
    return found == (line_filter.op is LineOp.REGEX)


def group(found: Iterable[Stored]) -> list[Stream]:
    streams: dict[Any, tuple[Labels, list[Entry]]] = {}
    for labels, entry in found:
        streams.setdefault(labels_key(labels), (labels, []))[1].append(entry)
    return [Stream(labels, entries) for labels, entries in streams.values()]


@dataclass
class LogStore:
    """The entries, and Loki's answers about them; has the reading methods of AsyncLokiClient that paging uses."""

    max_entries: int = 5000
    entries: list[Stored] = field(default_factory=list)
    queries: list[str] = field(default_factory=list)
    random: Random = field(default_factory=lambda: Random(7))

    def add(self, labels: Labels, timestamp_ns: int, line: str) -> Stored:
        stored = (labels, Entry(timestamp_ns, line))
        self.entries.append(stored)
        return stored

    def select(self, query: str, start_ns: int, end_ns: int) -> list[Stored]:
        expr = parse_expr(query)
        assert isinstance(expr, PipelineExpr)
        filters = [stage for stage in expr.stages if isinstance(stage, LineFilterExpr)]
        return [
            (labels, entry)
            for labels, entry in self.entries
            if start_ns <= entry.timestamp_ns < end_ns
            and all(matches(matcher, labels) for matcher in expr.selector.matchers)
            and all(passes(line_filter, entry.line) for line_filter in filters)
        ]

    async def query_range(
        self, query: str, *, start_ns: int, end_ns: int, limit: int = 100, direction: Direction = Direction.BACKWARD
    ) -> QueryResult:
        self.queries.append(query)
        found = self.select(query, start_ns, end_ns)
        sign = 1 if direction is Direction.FORWARD else -1
        # Which streams lose at the limit is Loki's choice; here chance's.
        order = {labels_key(labels): self.random.random() for labels, _ in found}
        found.sort(key=lambda stored: (sign * stored[1].timestamp_ns, order[labels_key(stored[0])]))
        return QueryResult(ResultType.STREAMS, streams=group(found[:limit]))

    async def series(self, selector: str, *, start_ns: int | None = None, end_ns: int | None = None) -> list[Labels]:
        streams = {labels_key(labels): labels for labels, _ in self.select(selector, start_ns or 0, end_ns or 2**62)}
        return list(streams.values())


class FakeLoki:
    """The HTTP API over a store. `refusal` answers everything but buildinfo with that status and text."""

    def __init__(self) -> None:
        self.url = ""
        self.store = LogStore()
        self.refusal: tuple[int, str] | None = None
        self.pushes: list[tuple[Mapping[str, str], bytes]] = []
        self.tail_opened = asyncio.Event()
        self.tail_count = 0
        self._tails: dict[web.WebSocketResponse, str] = {}
        self._dropped: list[Stored] = []

    async def push(self, labels: Labels, timestamp_ns: int, line: str, *, drop: bool = False) -> None:
        """Store an entry and send it to the tails; with `drop` they only hear that they missed it."""
        stored = self.store.add(labels, timestamp_ns, line)
        for socket, query in list(self._tails.items()):
            if self._passes(query, stored):
                await socket.send_str(frame([] if drop else [stored], [stored] if drop else []))

    async def end_tails(self, code: int = WSCloseCode.INTERNAL_ERROR, message: bytes = b"") -> None:
        self.tail_opened.clear()
        for socket in list(self._tails):
            await socket.close(code=code, message=message)

    def application(self) -> web.Application:
        app = web.Application(middlewares=[self._refuse])
        api = "/loki/api/v1"
        app.router.add_get(f"{api}/status/buildinfo", self._buildinfo)
        app.router.add_get("/ready", self._ready)
        app.router.add_route("*", f"{api}/query_range", self._query_range)
        app.router.add_get(f"{api}/query", self._query)
        app.router.add_get(f"{api}/labels", self._labels)
        app.router.add_get(f"{api}/label/{{name}}/values", self._label_values)
        app.router.add_get(f"{api}/series", self._series)
        app.router.add_get(f"{api}/tail", self._tail)
        app.router.add_post(f"{api}/push", self._push)
        return app

    def _passes(self, query: str, stored: Stored) -> bool:
        return stored in self.store.select(query, stored[1].timestamp_ns, stored[1].timestamp_ns + 1)

    @web.middleware
    async def _refuse(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self.refusal is not None and not request.path.endswith("/buildinfo"):
            return web.Response(status=self.refusal[0], text=self.refusal[1])
        return await handler(request)

    async def _buildinfo(self, request: web.Request) -> web.Response:
        return web.json_response({"version": "3.7.6"})

    async def _ready(self, request: web.Request) -> web.Response:
        return web.Response(text="ready\n")

    async def _query_range(self, request: web.Request) -> web.Response:
        params: Any = request.query if request.method == "GET" else await request.post()
        limit = int(params["limit"])
        if limit > self.store.max_entries:
            said = "max entries limit per query exceeded, limit > max_entries_limit_per_query"
            return web.Response(status=400, text=f"{said} ({limit} > {self.store.max_entries})")
        direction = Direction(params["direction"])
        start_ns, end_ns = int(params["start"]), int(params["end"])
        result = await self.store.query_range(
            params["query"], start_ns=start_ns, end_ns=end_ns, limit=limit, direction=direction
        )
        data = {"resultType": "streams", "result": [as_json(stream) for stream in result.streams]}
        return web.json_response({"status": "success", "data": data})

    async def _query(self, request: web.Request) -> web.Response:
        vector = [{"metric": {"a": "b"}, "value": [1700000000.123, "2.5"]}]
        return web.json_response({"status": "success", "data": {"resultType": "vector", "result": vector}})

    async def _labels(self, request: web.Request) -> web.Response:
        names = sorted({name for labels, _ in self.store.entries for name in labels})
        return web.json_response({"status": "success", "data": names} if names else {"status": "success"})

    async def _label_values(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        values = sorted({labels[name] for labels, _ in self.store.entries if name in labels})
        return web.json_response({"status": "success", "data": values})

    async def _series(self, request: web.Request) -> web.Response:
        times = {f"{name}_ns": int(request.query[name]) for name in ("start", "end") if name in request.query}
        label_sets = await self.store.series(request.query["match[]"], **times)
        return web.json_response({"status": "success", "data": label_sets})

    async def _push(self, request: web.Request) -> web.Response:
        self.pushes.append((request.headers, await request.read()))
        return web.Response(status=204)

    async def _tail(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        query, start_ns = request.query["query"], int(request.query["start"])
        limit = int(request.query.get("limit", "100"))
        self._tails[socket] = query
        self.tail_count += 1
        replayed = sorted(self.store.select(query, start_ns, 2**62), key=lambda stored: stored[1].timestamp_ns)[-limit:]
        if replayed:
            await socket.send_str(frame(replayed, []))
        self.tail_opened.set()
        try:
            async for _ in socket:
                pass
        finally:
            del self._tails[socket]
        return socket


def as_json(stream: Stream) -> dict[str, Any]:
    return {
        "stream": dict(stream.labels),
        "values": [[str(entry.timestamp_ns), entry.line] for entry in stream.entries],
    }


def frame(entries: Iterable[Stored], dropped: Iterable[Stored]) -> str:
    document = {
        "streams": [as_json(stream) for stream in group(entries)],
        "dropped_entries": [
            {"timestamp": str(entry.timestamp_ns), "labels": dict(labels)} for labels, entry in dropped
        ],
    }
    return json.dumps(document)


@asynccontextmanager
async def running_fake_loki() -> AsyncIterator[FakeLoki]:
    """Serve a fake Loki on a free port of the loopback address."""
    loki = FakeLoki()
    runner = web.AppRunner(loki.application(), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    loki.url = f"http://127.0.0.1:{port}"
    try:
        yield loki
    finally:
        await loki.end_tails()
        await runner.cleanup()
