"""The web application: routes, who may come in, and how errors are answered."""

import ipaddress
from collections.abc import Awaitable, Callable

from aiohttp import web

from apimon.errors import ApimonError, UsageError
from apimon.loki.embedded.api import names, push, queries, status, tail
from apimon.loki.embedded.api.services import SERVICES, Services
from apimon.loki.embedded.running import QueryTimeoutError
from apimon.loki.wire.push_decode import PushDecodeError, PushTooLargeError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def build_app(services: Services, *, loopback_only: bool) -> web.Application:
    """Return the application; `loopback_only` refuses requests whose Host is no loopback address."""
    middlewares = [_guard_host, _answer_errors] if loopback_only else [_answer_errors]
    app = web.Application(middlewares=middlewares, client_max_size=services.ingest_limits.max_push_bytes)
    app[SERVICES] = services
    api = "/loki/api/v1"
    app.router.add_post(f"{api}/push", push.push)
    for path, handler in (
        ("/query_range", queries.query_range),
        ("/query", queries.query_instant),
        ("/labels", names.labels),
        ("/label", names.labels),
        ("/label/{name}/values", names.label_values),
        ("/series", names.series),
        ("/index/stats", names.index_stats),
        ("/format_query", queries.format_query),
    ):
        app.router.add_get(api + path, handler)
        app.router.add_post(api + path, handler)
    app.router.add_get(f"{api}/tail", tail.tail)
    app.router.add_get(f"{api}/status/buildinfo", status.buildinfo)
    app.router.add_get("/ready", status.ready)
    app.router.add_get(status.LEASE_PATH, status.lease)
    return app


@web.middleware
async def _guard_host(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse a foreign Host: a web page whose name was pointed at 127.0.0.1 must not read or write here."""
    if not is_loopback_host(request.headers.get("Host", "")):
        return _text(403, "Host is not a loopback address: use http://127.0.0.1 or http://localhost")
    return await handler(request)


def is_loopback_host(host: str) -> bool:
    """Return whether a Host header, with or without a port, names this machine."""
    name = host.partition("]")[0].removeprefix("[") if host.startswith("[") else host.partition(":")[0]
    if name.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


@web.middleware
async def _answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer errors as Loki does: a status and one line of text."""
    try:
        return await handler(request)
    except web.HTTPRequestEntityTooLarge as exc:
        return _text(413, f"{exc.reason}: send smaller batches")
    except web.HTTPException as exc:
        return _text(exc.status, "404 page not found" if exc.status == 404 else exc.reason)
    except PushTooLargeError as exc:
        return _text(413, str(exc))
    except (PushDecodeError, UsageError) as exc:
        return _text(400, str(exc))
    except QueryTimeoutError as exc:
        return _text(504, str(exc))
    except ApimonError as exc:
        return _text(500, str(exc))


def _text(status: int, message: str) -> web.Response:
    return web.Response(status=status, text=message + "\n", headers={"X-Content-Type-Options": "nosniff"})
