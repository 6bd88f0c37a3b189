"""What the middleware costs a request, in process and without sockets: on its path, and in all.

    python -m bench.middleware_cost

Peers in the same run: the bare app, a pure ASGI middleware that does nothing, and a BaseHTTPMiddleware that does
nothing. Rounds are interleaved; figures are medians, and CPU time, so that a busy machine disturbs little.
"""

import asyncio
import statistics
import time
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import Response

from apimon.config import Settings
from apimon.loki.shipper import PushAnswer
from apimon.server.monitoring import LokiMonitoringMiddleware
from apimon.server.monitoring.asgi import ASGIApp, Message, Receive, Scope, Send

REQUESTS = 4_000
ROUNDS = 5
HEADERS = [
    (b"host", b"127.0.0.1:8000"),
    (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"),
    (b"accept", b"application/json"),
    (b"accept-encoding", b"gzip, deflate"),
    (b"connection", b"keep-alive"),
    (b"x-user-id", b"user-17"),
]


class NoOp:
    """The least a pure ASGI middleware can be."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the app."""
        await self.app(scope, receive, send)


class BaseNoOp(BaseHTTPMiddleware):
    """The least a BaseHTTPMiddleware can be."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        """Call the app."""
        return await call_next(request)


class Sink:
    """A Loki that takes everything at once."""

    def push(self, _body: bytes, _timeout_s: float) -> PushAnswer:
        """Acknowledge."""
        return PushAnswer(204)

    def close(self) -> None:
        """Do nothing."""


async def _receive() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _send(message: Message) -> None:
    pass


def _scope(path: str) -> Scope:
    return {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": "GET",
        "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
        "headers": HEADERS, "client": ("127.0.0.1", 51234), "server": ("127.0.0.1", 8000), "state": {},
    }  # fmt: skip


async def _plain(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": b"{}"})


def _fastapi(add: Callable[[FastAPI], None] = lambda _: None) -> ASGIApp:
    app = FastAPI()

    @app.get("/products/{product_id}")
    async def product(product_id: int) -> dict[str, Any]:
        return {"id": product_id, "name": "AirPods Pro", "price": 8000}

    add(app)
    asgi: Any = app
    return asgi  # type: ignore[no-any-return]  # Starlette's own types are as loose


async def _measure(app: ASGIApp) -> tuple[float, float]:
    """Return µs of CPU per request: this thread's, and the process's with the shipper's threads."""
    thread_ns, process_ns = time.thread_time_ns(), time.process_time_ns()
    for _ in range(REQUESTS):
        await app(_scope("/products/3"), _receive, _send)
    thread_ns = time.thread_time_ns() - thread_ns
    # Records may still wait to be encoded; that work belongs to this round.
    await asyncio.sleep(0.4)
    process_ns = time.process_time_ns() - process_ns
    return thread_ns / REQUESTS / 1000, process_ns / REQUESTS / 1000


async def _run(apps: dict[str, ASGIApp]) -> dict[str, tuple[float, float]]:
    figures: dict[str, list[tuple[float, float]]] = {name: [] for name in apps}
    for app in apps.values():
        await app(_scope("/products/3"), _receive, _send)
    for _ in range(ROUNDS):
        for name, app in apps.items():
            figures[name].append(await _measure(app))
    return {
        name: (statistics.median(a for a, _ in rounds), statistics.median(b for _, b in rounds))
        for name, rounds in figures.items()
    }


def main() -> None:
    """Print the added µs per request and the ratio to a BaseHTTPMiddleware that does nothing."""
    settings = Settings()
    figures = asyncio.run(
        _run(
            {
                "plain": _plain,
                "plain+apimon": LokiMonitoringMiddleware(_plain, settings=settings, transport=Sink()),
                "fastapi": _fastapi(),
                "fastapi+noop": _fastapi(lambda app: app.add_middleware(NoOp)),
                "fastapi+basehttp": _fastapi(lambda app: app.add_middleware(BaseNoOp)),
                "fastapi+apimon": _fastapi(
                    lambda app: app.add_middleware(LokiMonitoringMiddleware, settings=settings, transport=Sink())
                ),
            }
        )
    )
    for name, (path_us, all_us) in figures.items():
        bare_path_us, bare_all_us = figures[name.partition("+")[0]]
        added = f"path {path_us - bare_path_us:+7.2f} µs   in all {all_us - bare_all_us:+7.2f} µs"
        print(f"{name:18} {added}   of {all_us:.1f} µs")
    base_us = figures["fastapi"][1]
    ours = figures["fastapi+apimon"][1] - base_us
    peer = figures["fastapi+basehttp"][1] - base_us
    print(
        f"middleware_cost: apimon {ours:.1f} µs in all, {ours / peer:.2f} × a BaseHTTPMiddleware no-op ({peer:.1f} µs)"
    )


if __name__ == "__main__":
    main()
