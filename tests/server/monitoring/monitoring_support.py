"""What the middleware's tests share: a Loki that remembers, uvicorn on a free port, and a client of raw bytes."""

import asyncio
import gzip
import json
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import uvicorn

from apimon.config import Settings
from apimon.loki.shipper import PushAnswer, ShippingLimits
from apimon.server.monitoring.asgi import ASGIApp, Message, Receive, Scope, Send
from apimon.server.monitoring.middleware import LokiMonitoringMiddleware

QUICK = ShippingLimits(linger_s=0.01, first_retry_s=0.01, longest_retry_s=0.02)


class Captured(NamedTuple):
    """One record as Loki would see it."""

    labels: dict[str, str]
    timestamp_ns: int
    line: dict[str, Any]


class MemoryLoki:
    """A transport that keeps what is pushed."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def push(self, body: bytes, _timeout_s: float) -> PushAnswer:
        self.bodies.append(gzip.decompress(body))
        return PushAnswer(204)

    def close(self) -> None:
        """Nothing is open."""

    def records(self) -> list[Captured]:
        """All records so far, oldest first."""
        records = [
            Captured(stream["stream"], int(timestamp), json.loads(line))
            for body in self.bodies
            for stream in json.loads(body)["streams"]
            for timestamp, line in stream["values"]
        ]
        return sorted(records, key=lambda record: record.timestamp_ns)

    def record(self) -> Captured:
        """The only record."""
        (record,) = self.records()
        return record


def monitor(
    app: ASGIApp,
    loki: MemoryLoki,
    settings: Settings | None = None,
    **options: Any,  # noqa: ANN401
) -> LokiMonitoringMiddleware:
    """Return the app behind the middleware."""
    return LokiMonitoringMiddleware(
        app, settings=settings or Settings(), transport=loki, limits=QUICK, **{"service_name": "test", **options}
    )


@asynccontextmanager
async def serving(app: ASGIApp, **options: Any) -> AsyncIterator[int]:  # noqa: ANN401 - uvicorn's
    """Serve `app` by uvicorn and yield its port; on leaving it is shut down, and so drained."""
    options = {"timeout_graceful_shutdown": 5, "log_level": "critical", **options}
    server = uvicorn.Server(uvicorn.Config(app, **options))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        task = asyncio.create_task(server._serve([listener]))
        try:
            while not server.started and not task.done():  # noqa: ASYNC110 - uvicorn has no event for it
                await asyncio.sleep(0.005)
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await task


class Answer(NamedTuple):
    """An HTTP/1.1 answer; `body` as it came, chunks not joined."""

    status: int
    head: bytes
    body: bytes


async def fetch(
    port: int, method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> Answer:
    """Make one request on a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request_bytes(method, target, body, headers))
    raw = await reader.read()
    writer.close()
    await writer.wait_closed()
    head, _, rest = raw.partition(b"\r\n\r\n")
    return Answer(int(head.split()[1]) if head else 0, head, rest)


def request_bytes(
    method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None, *, close: bool = True
) -> bytes:
    """Return the request with its length, after which the connection is closed."""
    fields = {"host": "test", **({"connection": "close"} if close else {}), **(headers or {})}
    if body:
        fields.setdefault("content-length", str(len(body)))
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def call(app: ASGIApp, path: str = "/", *, body: bytes = b"", **scope: object) -> list[Message]:
    """Call an ASGI app without a server and return the messages that it sent."""
    sent: list[Message] = []
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> Message:
        return next(messages, {"type": "http.disconnect"})

    async def send(message: Message) -> None:
        sent.append(message)

    await app(make_scope(path, **scope), receive, send)
    return sent


def make_scope(path: str, **changes: object) -> Scope:
    """Return an HTTP scope as uvicorn makes it."""
    return {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": "GET",
        "scheme": "http", "path": path, "raw_path": path.encode("utf-8", "replace"),
        "query_string": b"", "root_path": "",
        "headers": [(b"host", b"test")], "client": ("127.0.0.1", 50_000), "server": ("127.0.0.1", 80), **changes,
    }  # fmt: skip


async def drain(app: LokiMonitoringMiddleware) -> None:
    """Deliver what the middleware has recorded."""
    if app._recorder is not None:
        await app._recorder.drain()


async def answer_ok(_scope: Scope, _receive: Receive, send: Send) -> None:
    """The smallest app; like many such apps it has no lifespan."""
    if _scope["type"] != "http":
        raise RuntimeError("only http here")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"ok"})
