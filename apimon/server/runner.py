"""Serves the shop behind the middleware: the listening socket, then the Loki, then uvicorn and its workers.

What is taken is given back in the reverse order: the workers drain their shippers, then the lease on Loki goes.
"""

import errno
import inspect
import signal
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.supervisors import Multiprocess

from apimon.config import Settings
from apimon.errors import ApimonError
from apimon.server.logs import build_log_config
from apimon.server.recording import Say, hold_loki
from apimon.server.shop import ShopConfig
from apimon.server.shop.store import ShopStore
from apimon.server.worker import Worker

# How long requests in flight may take to end after Ctrl-C or SIGTERM.
_GRACE_S = 10
_BACKLOG = 2048


class ServeError(ApimonError):
    """The server can't listen, or can't start."""


@dataclass(frozen=True)
class ServeConfig:
    """What to serve, where, and how it is recorded."""

    shop: ShopConfig
    settings: Settings
    host: str = "127.0.0.1"
    port: int = 8000
    """0 takes a free one."""
    workers: int = 1
    debug: bool = False
    """Whether unhandled exceptions are printed with their tracebacks."""


def serve(config: ServeConfig, say: Say) -> None:
    """Serve until Ctrl-C or SIGTERM, both of which are a good end; `say` is told where, and where the logs go.

    Raises ServeError where the address can't be had (before anything is started) or a worker can't start,
    ShopStoreError, LokiUnreachableError where the embedded Loki can't be started, and NotLokiError where something
    else answers at Loki's URL.
    """
    # From here on SIGTERM unwinds like Ctrl-C, so that whatever was started is ended.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with listen(config.host, config.port) as listener:
            ShopStore(config.shop.db).close()
            with hold_loki(config.settings, say) as found:
                url = _url(config.host, listener)
                say(f"serving {url} (documentation: {url}/docs)")
                _run_uvicorn(config, listener, outage_told=not found)
    except KeyboardInterrupt:
        return


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; `port` 0 takes a free one. Raises ServeError."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        # At once, not when the workers are up: of two servers only one may get past this line.
        listener.listen(_BACKLOG)
    except OSError as exc:
        listener.close()
        is_taken = exc.errno in {errno.EADDRINUSE, errno.EACCES}
        remedy = "name another one with --port, or 0 for a free one" if is_taken else "name another one with --host"
        raise ServeError(f"can't listen on {host} port {port}: {exc.strerror}; {remedy}") from exc
    listener.set_inheritable(True)
    return listener


def _run_uvicorn(config: ServeConfig, listener: socket.socket, *, outage_told: bool) -> None:
    log_config = build_log_config(tracebacks=config.debug, outage_told=outage_told)
    if config.workers == 1:
        _serve_alone(_configure_uvicorn(config, log_config, numbers=None), listener)
    elif config.shop.seed is None:
        _supervise(_configure_uvicorn(config, log_config, numbers=None), listener)
    else:
        with tempfile.TemporaryDirectory(prefix="apimon-") as numbers:
            _supervise(_configure_uvicorn(config, log_config, numbers=Path(numbers)), listener)


def _configure_uvicorn(config: ServeConfig, log_config: dict[str, Any], *, numbers: Path | None) -> uvicorn.Config:
    return uvicorn.Config(
        Worker(config.shop, config.settings, numbers),
        factory=True,
        workers=config.workers,
        http="httptools",
        lifespan="on",
        access_log=False,
        log_level="warning",
        log_config=log_config,
        timeout_graceful_shutdown=_GRACE_S,
        backlog=_BACKLOG,
    )


def _serve_alone(settings: uvicorn.Config, listener: socket.socket) -> None:
    server = uvicorn.Server(settings)
    try:
        with _ended_by_signals(server):
            server.run(sockets=[listener])
    except SystemExit as exc:
        raise ServeError("the shop could not start; the lines above say why") from exc


@contextmanager
def _ended_by_signals(server: uvicorn.Server) -> Iterator[None]:
    # Uvicorn takes the signals over only once its loop runs: one that came a moment before would break the loop off.
    previous = {number: signal.signal(number, server.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _supervise(settings: uvicorn.Config, listener: socket.socket) -> None:
    # Older supervisors are given the function that a worker runs, newer ones make it themselves.
    takes_target = "target" in inspect.signature(Multiprocess).parameters
    target = {"target": uvicorn.Server(settings).run} if takes_target else {}
    supervisor = Multiprocess(settings, sockets=[listener], **target)
    supervisor.run()
    if any(process.exitcode == uvicorn.config.STARTUP_FAILURE for process in supervisor.processes):
        raise ServeError("a worker could not start; the lines above say why")


def _url(host: str, listener: socket.socket) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
