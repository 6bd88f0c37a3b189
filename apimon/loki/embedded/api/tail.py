"""`GET /loki/api/v1/tail`: a websocket that shows history first and then what comes."""

import asyncio
from collections.abc import Coroutine, Sequence

from aiohttp import WSCloseCode, web

from apimon.errors import UsageError
from apimon.loki.embedded.api.params import TimeRange, parse_time_ns, read_limit, wants_categories
from apimon.loki.embedded.api.services import SERVICES, Services
from apimon.loki.embedded.evaluation import RangeQuery, compile_sieve, parse_query, run_categorized
from apimon.loki.embedded.streams import matches_all
from apimon.loki.embedded.tailing import Tail, TailedEntry, TailHub, key_of
from apimon.loki.logql.nodes import PipelineExpr
from apimon.loki.model import Direction
from apimon.loki.wire.answers import encode_tail_frame, merge_labels
from apimon.units import NS_PER_S

_FRAME_ENTRIES = 100
_HEARTBEAT_S = 5.0
_MAX_DELAY_S = 5
_MAX_DURATION_S = 3600.0
_DEFAULT_HISTORY_NS = 3600 * NS_PER_S


async def tail(request: web.Request) -> web.StreamResponse:
    """Follow a log query until the client leaves, at most an hour."""
    services = request.app[SERVICES]
    params, limits = request.query, services.query_limits
    expr = parse_query(params.get("query", ""), limits.max_query_bytes)
    if not isinstance(expr, PipelineExpr):
        raise UsageError("a tail follows log lines: leave the aggregation out of the query")
    limit, delay_s = read_limit(params, limits), _read_delay_s(params.get("delay_for") or "0")
    start_ns = parse_time_ns("start", params["start"]) if params.get("start") else None
    joined = services.tails.join(matches_all(expr.selector.matchers), compile_sieve(expr))
    try:
        history = await _read_history(services, expr, start_ns, limit)
        joined.forget({key_of(entry) for entry in history})
        socket = web.WebSocketResponse(heartbeat=_HEARTBEAT_S, compress=False)
        await socket.prepare(request)
        sender = _Sender(socket, categorized=wants_categories(request))
        await _follow(socket, services.tails, _send_all(sender, joined, history, delay_s))
    finally:
        services.tails.leave(joined)
    return socket


def _read_delay_s(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > _MAX_DELAY_S:
        raise UsageError(f"delay_for can't be greater than {_MAX_DELAY_S}: {text!r} is no number of seconds up to it")
    return int(text)


async def _read_history(
    services: Services, expr: PipelineExpr, start_ns: int | None, limit: int
) -> Sequence[TailedEntry]:
    """Return the newest `limit` entries since `start_ns`, oldest first: all that was durable before the tail joined."""
    now_ns = services.clock_ns()
    times = TimeRange(
        now_ns - _DEFAULT_HISTORY_NS if start_ns is None else start_ns,
        now_ns + services.ingest_limits.reject_newer_ns + 1,
    )
    query = RangeQuery(expr, times.start_ns, times.end_ns, NS_PER_S, limit, Direction.BACKWARD)
    streams, _ = await services.queries.run(lambda source: run_categorized(source, query, expr))
    found = [TailedEntry(stream.labels, entry) for stream in streams for entry in reversed(stream.entries)]
    return sorted(found, key=lambda tailed: tailed.entry.timestamp_ns)


async def _follow(socket: web.WebSocketResponse, hub: TailHub, sending: Coroutine[object, object, None]) -> None:
    works = (sending, _receive_all(socket), hub.closed.wait())
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.wait(tasks, timeout=_MAX_DURATION_S, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if hub.closed.is_set():
        await socket.close(code=WSCloseCode.GOING_AWAY, message=b"the server is ending")
    elif not socket.closed:
        await socket.close(code=WSCloseCode.INTERNAL_ERROR, message=b"reached tail max duration limit")


async def _receive_all(socket: web.WebSocketResponse) -> None:
    # A client says nothing but goodbye; reading is what notices it.
    async for _ in socket:
        pass


class _Sender:
    """Writes frames in the form that the client asked for."""

    def __init__(self, socket: web.WebSocketResponse, *, categorized: bool) -> None:
        self._socket = socket
        self._categorized = categorized

    async def send(self, entries: Sequence[TailedEntry], dropped: Sequence[TailedEntry]) -> None:
        shown = [(tailed.labels, tailed.entry) for tailed in entries]
        missed = [(merge_labels(tailed.labels, tailed.entry), tailed.entry.timestamp_ns) for tailed in dropped]
        await self._socket.send_str(encode_tail_frame(shown, missed, categorized=self._categorized))


async def _send_all(sender: _Sender, joined: Tail, history: Sequence[TailedEntry], delay_s: int) -> None:
    for first in range(0, len(history), _FRAME_ENTRIES):
        await sender.send(history[first : first + _FRAME_ENTRIES], [])
    while True:
        await joined.arrived.wait()
        if delay_s:
            await asyncio.sleep(delay_s)
        await sender.send(*joined.take(_FRAME_ENTRIES))
