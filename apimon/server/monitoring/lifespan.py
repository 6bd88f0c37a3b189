"""The lifespan protocol round an app: the shipper lives as long as the app does."""

import logging
from collections.abc import Awaitable, Callable

from apimon.server.monitoring.asgi import ASGIApp, Message, Receive, Scope, Send

_log = logging.getLogger("apimon.monitoring")


class Lifespan:
    """Passes an app's lifespan through; starts before its startup is reported, drains before its shutdown is.

    atexit would be too late: a server that is ended by a signal never gets there.
    """

    def __init__(self, start: Callable[[], None], drain: Callable[[], Awaitable[None]]) -> None:
        self._start = start
        self._drain = drain

    async def run(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app's own lifespan, or stand in for it where the app has none."""
        is_spoken = False

        async def watched_receive() -> Message:
            nonlocal is_spoken
            is_spoken = True
            return await receive()

        async def watched_send(message: Message) -> None:
            nonlocal is_spoken
            is_spoken = True
            await self._pass_on(message, send)

        try:
            await app(scope, watched_receive, watched_send)
        except Exception as exc:
            if is_spoken:
                await self._drain()
                raise
            _log.info("apimon: the app has no lifespan (%r): apimon answers for it", exc)
        if not is_spoken:
            # An app without lifespan refuses the scope, or returns at once. A server would go on without it, and nobody
            # would drain at shutdown: answer in its place.
            await self._stand_in(receive, send)

    async def _pass_on(self, message: Message, send: Send) -> None:
        match message["type"]:
            case "lifespan.startup.complete":
                self._start()
            case "lifespan.shutdown.complete" | "lifespan.shutdown.failed":
                await self._drain()
        await send(message)

    async def _stand_in(self, receive: Receive, send: Send) -> None:
        await receive()
        await self._pass_on({"type": "lifespan.startup.complete"}, send)
        await receive()
        await self._pass_on({"type": "lifespan.shutdown.complete"}, send)
