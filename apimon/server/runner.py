"""Serves the shop behind the middleware: the listening socket, the Loki beside it, uvicorn and its workers.

What is taken is given back in the reverse order: the workers drain their shippers, then the lease on Loki goes.
"""

import errno
import inspect
import shlex
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from uvicorn.supervisors import Multiprocess

from apimon.config import DEFAULT_LOKI_URL, Settings
from apimon.errors import ApimonError
from apimon.loki.local import Attachment, attach_loki
from apimon.server.logs import build_log_config
from apimon.server.shop import ShopConfig
from apimon.server.shop.store import ShopStore
from apimon.server.worker import Worker

# How long requests in flight may take to end after Ctrl-C or SIGTERM.
_GRACE_S = 10
_BACKLOG = 2048

Say = Callable[[str], None]


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


@contextmanager
def _hold_loki(settings: Settings, say: Say) -> Iterator[None]:
    if not settings.enabled:
        say("nothing is recorded: LOKI_ENABLED is false")
        yield
    elif settings.loki.is_loopback:
        with attach_loki(settings) as loki:
            _say_where_logs_go(settings, loki, say)
            yield
    else:
        # A Loki elsewhere is looked for beside the serving: nobody waits for one that is slow, or away.
        settings.loki.ssl_context()  # raises here, not there
        threading.Thread(target=_look_for_loki, args=(settings, say), name="loki-look", daemon=True).start()
        yield


def _look_for_loki(settings: Settings, say: Say) -> None:
    try:
        with attach_loki(settings, start=False) as loki:
            _say_where_logs_go(settings, loki, say)
    except ApimonError as exc:
        say(f"logs can't be shipped for now: {exc}")


def _say_where_logs_go(settings: Settings, loki: Attachment, say: Say) -> None:
    kind = f"{'the embedded Loki' if loki.embedded else f'Loki {loki.version}'} at {loki.url}"
    flag = "" if settings.loki.url == DEFAULT_LOKI_URL else f" --loki {loki.url}"
    say(f"logs go to {kind}; follow them with: apimon tail --service {shlex.quote(settings.service_name)}{flag}")


def _run_uvicorn(config: ServeConfig, listener: socket.socket) -> None:
    if config.workers == 1:
        _serve_alone(_configure_uvicorn(config, numbers=None), listener)
    elif config.shop.seed is None:
        _supervise(_configure_uvicorn(config, numbers=None), listener)
    else:
        with tempfile.TemporaryDirectory(prefix="apimon-") as numbers:
            _supervise(_configure_uvicorn(config, numbers=Path(numbers)), listener)


def _configure_uvicorn(config: ServeConfig, *, numbers: Path | None) -> uvicorn.Config:
    return uvicorn.Config(
        Worker(config.shop, config.settings, numbers),
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
