"""The server's life: claim the port, lock the folder, open the store, serve, and close in the opposite order.

The port is claimed first, so that of two that start at once the second ends at once, and a client that connects
meanwhile waits in the socket's queue instead of being refused. aiohttp, half of what there is to import, is imported
while a thread opens the store.
"""

import asyncio
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from apimon.errors import ApimonError
from apimon.loki.embedded.folder import FolderLock
from apimon.loki.embedded.intake import Intaker
from apimon.loki.embedded.journal import Disk
from apimon.loki.embedded.leases import Leases
from apimon.loki.embedded.limits import IngestLimits, QueryLimits
from apimon.loki.embedded.running import QueryRunner
from apimon.loki.embedded.store import Store, StoreTuning
from apimon.loki.embedded.tailing import TailHub

if TYPE_CHECKING:
    from aiohttp import web

    from apimon.loki.embedded.api.services import Services

STORE_FOLDER = "loki"
"""Where, in the data folder, the embedded server keeps everything of its own."""
_BACKLOG = 512
_SHUTDOWN_S = 2.0


@dataclass(frozen=True)
class ServerConfig:
    """How one server runs."""

    host: str = "127.0.0.1"
    port: int = 3100
    """0 takes a free one."""
    data_dir: Path | None = None
    """The data folder; None keeps everything in memory."""
    retention_ns: int | None = None
    lease_grace_s: float | None = None
    """End this long after the last lease has gone; None serves until told to stop."""
    ingest_limits: IngestLimits = field(default_factory=IngestLimits)
    query_limits: QueryLimits = field(default_factory=QueryLimits)
    disk: Disk | None = None
    clock_ns: Callable[[], int] = time.time_ns


class EmbeddedServer:
    """An async context manager: listening inside, everything stored and closed outside. Raises ApimonError."""

    def __init__(self, config: ServerConfig) -> None:
        self._config = config
        self._socket = bind_socket(config.host, config.port)
        self._lock: FolderLock | None = None
        self._store: Store | None = None
        self._services: Services | None = None
        self._runner: web.AppRunner | None = None
        self._site: web.SockSite | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = self._socket.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def __aenter__(self) -> "EmbeddedServer":
        try:
            await self._start()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def wait_until_unused(self) -> None:
        """Return once the last lease has been gone for the grace period; never where there is none."""
        assert self._services is not None, "only between start and close"  # noqa: S101
        await self._services.leases.expired.wait()

    async def close(self) -> None:
        """Stop listening, finish what was asked, store it, and let the folder go; again does nothing."""
        # Announced before the port is free: who finds the port free also finds the folder worth waiting for.
        if self._lock is not None:
            self._lock.announce_closing()
        if self._site is not None:
            await self._site.stop()
            self._site = None
        self._socket.close()
        if self._services is not None:
            self._services.leases.close()
            self._services.tails.close()
        if self._runner is not None:
            await self._runner.cleanup()
        if self._services is not None:
            await asyncio.to_thread(self._services.queries.close)
            self._services = None
        if self._store is not None:
            await asyncio.to_thread(self._store.close)
            self._store = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _open_store(self) -> None:
        config = self._config
        folder = config.data_dir / STORE_FOLDER if config.data_dir else None
        if folder is not None:
            self._lock = FolderLock(folder)
        self._store = Store(folder, tuning=StoreTuning(config.retention_ns), disk=config.disk, clock_ns=config.clock_ns)

    async def _start(self) -> None:
        opening = asyncio.get_running_loop().run_in_executor(None, self._open_store)
        try:
            from aiohttp import web

            from apimon.loki.embedded.api.app import build_app, is_loopback_host
            from apimon.loki.embedded.api.services import Services
        finally:
            await opening
        assert self._store is not None, "opened above"  # noqa: S101
        config = self._config
        self._services = Services(
            self._store,
            Intaker(self._store.catalog, config.ingest_limits),
            QueryRunner(self._store, config.query_limits.timeout_s),
            TailHub(config.query_limits.max_tails),
            Leases(config.lease_grace_s),
            config.ingest_limits,
            config.query_limits,
            config.clock_ns,
        )
        app = build_app(self._services, loopback_only=is_loopback_host(_bracketed(self._socket.getsockname()[0])))
        self._runner = web.AppRunner(
            app,
            access_log=None,
            handler_cancellation=True,
            auto_decompress=False,
            shutdown_timeout=_SHUTDOWN_S,
            max_line_size=4 * config.query_limits.max_query_bytes,  # a byte of a query is up to three of its URL
        )
        await self._runner.setup()
        self._site = web.SockSite(self._runner, self._socket, backlog=_BACKLOG)
        await self._site.start()


def bind_socket(host: str, port: int) -> socket.socket:
    """Return a listening socket; raises ApimonError that names the address."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
            bound.listen(_BACKLOG)
        except OSError:
            bound.close()
            raise
    except OSError as exc:
        raise ApimonError(
            f"cannot listen on {host}:{port}: {exc.strerror or exc}; end what listens there, or choose another --port"
        ) from exc
    return bound


async def serve(config: ServerConfig, announce: Callable[[str], None]) -> None:
    """Serve until SIGTERM, Ctrl-C or the end of the last lease; `announce` hears the URL once it is served."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with EmbeddedServer(config) as server:
        announce(server.url)
        unused = asyncio.create_task(server.wait_until_unused())
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait((unused, stopped), return_when=asyncio.FIRST_COMPLETED)
        for task in (unused, stopped):
            task.cancel()


def run_server(config: ServerConfig, announce: Callable[[str], None]) -> None:
    """Run `serve` in an event loop of its own, uvloop's."""
    from uvloop import new_event_loop

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(serve(config, announce))


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
