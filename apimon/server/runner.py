"""Serves the shop behind the middleware: the listening socket, the Loki beside it, uvicorn and its workers.

What is taken is given back in the reverse order: the workers drain their shippers, then the lease on Loki goes.
"""

import errno
import fcntl
import inspect
import multiprocessing
import multiprocessing.process
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.supervisors import Multiprocess

from apimon.config import Settings
from apimon.errors import ApimonError
from apimon.server.logs import build_log_config
from apimon.server.shop import ShopConfig, create_app
from apimon.server.shop.store import ShopStore

# How long requests in flight may take to end after Ctrl-C or SIGTERM.
_GRACE_S = 10
_BACKLOG = 2048

ASGIApp = Callable[[Any, Any, Any], Awaitable[None]]
Say = Callable[[str], None]


class ServeError(ApimonError):
    """The server can't listen, or can't start."""


@dataclass(frozen=True)
class ServeConfig:
    """What to serve, where, and how it is recorded. It travels to the workers, so it has to be picklable."""

    shop: ShopConfig
    settings: Settings
    host: str = "127.0.0.1"
    port: int = 8000
    """0 takes a free one."""
    workers: int = 1
    debug: bool = False
    """Whether unhandled exceptions are printed with their tracebacks."""


@dataclass(frozen=True)
class _Worker:
    """What a worker process is started with: called there, it returns the app. Picklable."""

    config: ServeConfig
    numbers: Path | None
    """The folder in which workers claim their numbers; None for the only one."""

    def __call__(self) -> ASGIApp:
        _end_with_parent()
        number = claim_number(self.numbers) if self.numbers else 0
        app = create_app(replace(self.config.shop, worker=number))
        return wrap_app(app, self.config.settings)


def serve(config: ServeConfig, say: Say) -> None:
    """Serve until Ctrl-C or SIGTERM, both of which are a good end; `say` is told where, and where the logs go.

    Raises ServeError where the address can't be had (before anything is started) or a worker can't start,
    ShopStoreError, and LokiUnreachableError where the embedded Loki can't be started or something else answers.
    """
    # From here on SIGTERM unwinds like Ctrl-C, so that whatever was started is ended.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with listen(config.host, config.port) as listener:
            ShopStore(config.shop.db).close()
            with _hold_loki(config.settings, say):
                url = _url(config.host, listener)
                say(f"serving {url} (documentation: {url}/docs)")
                _run_uvicorn(config, listener)
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


def wrap_app(app: ASGIApp, settings: Settings) -> ASGIApp:
    """Return the app behind the middleware, or as it is where recording is off."""
    if not settings.enabled:
        return app
    from apimon.server.monitoring import LokiMonitoringMiddleware

    return LokiMonitoringMiddleware(app, settings=settings)


def claim_number(folder: Path) -> int:
    """Return the lowest number from 0 that no living process has claimed in `folder`; this process keeps it.

    A worker that takes the place of a dead one so takes its number too, and with it its part of the seed.
    """
    number = 0
    while True:
        descriptor = os.open(folder / str(number), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            number += 1
        else:
            return number  # the descriptor stays open: the lock ends with the process


def _end_with_parent() -> None:
    # Killed, a supervisor can't end its workers: they would go on, and hold the port.
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent,), name="parent-watch", daemon=True).start()


def _end_after(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def _hold_loki(settings: Settings, say: Say) -> Iterator[None]:
    if not settings.enabled:
        say("nothing is recorded: LOKI_ENABLED is false")
        yield
        return
    from apimon.loki.local import attach_loki

    with attach_loki(settings) as loki:
        say(f"logs go to {loki.url}")
        yield


def _run_uvicorn(config: ServeConfig, listener: socket.socket) -> None:
    if config.workers == 1:
        return _serve_alone(_configure_uvicorn(config, numbers=None), listener)
    with tempfile.TemporaryDirectory(prefix="apimon-") as numbers:
        return _supervise(_configure_uvicorn(config, numbers=Path(numbers)), listener)


def _configure_uvicorn(config: ServeConfig, *, numbers: Path | None) -> uvicorn.Config:
    return uvicorn.Config(
        _Worker(config, numbers),
        factory=True,
        workers=config.workers,
        http="httptools",
        lifespan="on",
        access_log=False,
        log_level="warning",
        log_config=build_log_config(tracebacks=config.debug),
        timeout_graceful_shutdown=_GRACE_S,
        backlog=_BACKLOG,
    )


def _serve_alone(settings: uvicorn.Config, listener: socket.socket) -> None:
    try:
        uvicorn.Server(settings).run(sockets=[listener])
    except SystemExit as exc:
        raise ServeError("the shop could not start; the lines above say why") from exc


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
