"""What is there: label names and values, series, and how much."""

from collections.abc import Iterable

from aiohttp import web

from apimon.errors import UsageError
from apimon.loki.embedded.api.params import TimeRange, read_params, read_range
from apimon.loki.embedded.api.services import SERVICES, Services
from apimon.loki.embedded.streams import StoredStream
from apimon.loki.logql import parse_expr
from apimon.loki.logql.nodes import Matcher, PipelineExpr
from apimon.loki.model import labels_key
from apimon.loki.wire.answers import encode_index_stats, encode_list, encode_series_list
from apimon.units import NS_PER_S

_DEFAULT_LABELS_RANGE_NS = 6 * 3600 * NS_PER_S


async def labels(request: web.Request) -> web.Response:
    """Answer the label names of the streams in the range."""
    services, params = request.app[SERVICES], await read_params(request)
    times = read_range(params, services.clock_ns(), _DEFAULT_LABELS_RANGE_NS)
    streams = _select(services, times, [params["query"]] if params.get("query") else [])
    return _json(encode_list(sorted({name for stream in streams for name in stream.labels})))


async def label_values(request: web.Request) -> web.Response:
    """Answer the values of one label."""
    services, params = request.app[SERVICES], await read_params(request)
    times = read_range(params, services.clock_ns(), _DEFAULT_LABELS_RANGE_NS)
    streams = _select(services, times, [params["query"]] if params.get("query") else [])
    name = request.match_info["name"]
    return _json(encode_list(sorted({stream.labels[name] for stream in streams if name in stream.labels})))


async def series(request: web.Request) -> web.Response:
    """Answer the label sets that one of the selectors means; without a selector all of them."""
    services, params = request.app[SERVICES], await read_params(request)
    times = read_range(params, services.clock_ns())
    selectors = [*params.getall("match[]", []), *params.getall("match", [])]
    found = {labels_key(stream.labels): stream.labels for stream in _select(services, times, selectors)}
    return _json(encode_series_list([found[key] for key in sorted(found)]))


async def index_stats(request: web.Request) -> web.Response:
    """Answer how many streams, entries and bytes a selector means."""
    services, params = request.app[SERVICES], await read_params(request)
    times = read_range(params, services.clock_ns())
    matchers = parse_selector(params.get("query", ""))
    streams = services.store.catalog.select(matchers, times.start_ns, times.end_ns)
    (entries, size), _ = await services.queries.run(
        lambda source: source.measure(matchers, times.start_ns, times.end_ns)
    )
    return _json(encode_index_stats(len(streams), entries, size))


def parse_selector(text: str) -> tuple[Matcher, ...]:
    """Return the matchers of a plain selector; raises QueryError for LogQL that doesn't parse, UsageError for other."""
    expr = parse_expr(text)
    if isinstance(expr, PipelineExpr) and not expr.stages:
        return expr.selector.matchers
    raise UsageError(f"only label matchers are supported here, not {text!r}: leave the stages out")


def _select(services: Services, times: TimeRange, selectors: Iterable[str]) -> list[StoredStream]:
    catalog = services.store.catalog
    parsed = [parse_selector(selector) for selector in selectors]
    if not parsed:
        return catalog.between(times.start_ns, times.end_ns + 1)
    return [stream for matchers in parsed for stream in catalog.select(matchers, times.start_ns, times.end_ns + 1)]


def _json(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json", charset="utf-8")
