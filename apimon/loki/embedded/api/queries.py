"""`query_range`, `query`, `format_query`: parameters to evaluation to answer."""

from collections.abc import Callable

import orjson
from aiohttp import web

from apimon.errors import QueryError, UsageError
from apimon.loki.embedded.api.params import (
    parse_time_ns,
    read_direction,
    read_interval_ns,
    read_limit,
    read_params,
    read_range,
    read_step_ns,
    wants_categories,
)
from apimon.loki.embedded.api.services import SERVICES
from apimon.loki.embedded.evaluation import RangeQuery, parse_query, run_categorized, run_instant, run_range
from apimon.loki.embedded.selection import StoreSource
from apimon.loki.logql.nodes import PipelineExpr
from apimon.loki.model import QueryResult
from apimon.loki.wire.answers import encode_categorized, encode_result
from apimon.units import NS_PER_S


async def query_range(request: web.Request) -> web.Response:
    """Answer a log or metric query over a range."""
    services = request.app[SERVICES]
    params, limits = await read_params(request), services.query_limits
    times = read_range(params, services.clock_ns())
    query = RangeQuery(
        start_ns=times.start_ns,
        end_ns=times.end_ns,
        limit=read_limit(params, limits),
        direction=read_direction(params),
        step_ns=read_step_ns(params, times, limits),
        interval_ns=read_interval_ns(params),
        expr=parse_query(params.get("query", ""), limits.max_query_bytes),
    )
    length_ns = times.end_ns - times.start_ns
    if length_ns > limits.max_range_ns:
        hours, limit_hours = (span // (3600 * NS_PER_S) for span in (length_ns, limits.max_range_ns))
        raise UsageError(
            f"the query time range exceeds the limit (query length: {hours}h, limit: {limit_hours}h): shorten the range"
        )
    expr = query.expr
    if isinstance(expr, PipelineExpr) and wants_categories(request):
        streams, stats = await services.queries.run(lambda source: run_categorized(source, query, expr))
        returned = sum(len(stream.entries) for stream in streams)
        return _json(encode_categorized(streams, stats.summary(returned)))
    return await _answer(request, lambda source: run_range(source, query))


async def query_instant(request: web.Request) -> web.Response:
    """Answer a metric query at one time."""
    services = request.app[SERVICES]
    params, limits = await read_params(request), services.query_limits
    time_ns = parse_time_ns("time", params["time"]) if params.get("time") else services.clock_ns()
    read_limit(params, limits)
    read_direction(params)
    expr = parse_query(params.get("query", ""), limits.max_query_bytes)
    if isinstance(expr, PipelineExpr):
        raise UsageError(
            "log queries are not supported as an instant query type, please change your query to a range query type"
        )
    return await _answer(request, lambda source: run_instant(source, expr, time_ns))


async def format_query(request: web.Request) -> web.Response:
    """Answer the query as apimon prints it."""
    params = await read_params(request)
    try:
        expr = parse_query(params.get("query", ""), request.app[SERVICES].query_limits.max_query_bytes)
    except QueryError as exc:
        answer, status = {"status": "invalid-query", "error": str(exc)}, 400
    else:
        answer, status = {"status": "success", "data": str(expr)}, 200
    return web.Response(status=status, body=orjson.dumps(answer), content_type="application/json")


async def _answer(request: web.Request, work: Callable[[StoreSource], QueryResult]) -> web.Response:
    result, stats = await request.app[SERVICES].queries.run(work)
    returned = sum(len(stream.entries) for stream in result.streams) or len(result.series)
    return _json(encode_result(result, stats.summary(returned)))


def _json(body: bytes) -> web.Response:
    response = web.Response(body=body, content_type="application/json", charset="UTF-8")
    response.enable_compression()
    return response
