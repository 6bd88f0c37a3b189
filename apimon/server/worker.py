"""One worker process of a server: what it is started with, and that it ends with its supervisor."""

import multiprocessing
import multiprocessing.process
import os
import signal
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from apimon.config import Settings
from apimon.server.shop import ShopConfig, create_app
from apimon.server.worker_number import claim_number

ASGIApp = Callable[[Any, Any, Any], Awaitable[None]]


@dataclass(frozen=True)
class Worker:
    """What a worker process is started with: called there, it returns the app. Picklable."""

    shop: ShopConfig
    settings: Settings
    numbers: Path | None
    """The folder in which workers claim their numbers; None where they need none: one worker, or no seed to share."""

    def __call__(self) -> ASGIApp:
        """Return the app that this process serves."""
        _end_with_parent()
        number = claim_number(self.numbers) if self.numbers else 0
        app = create_app(replace(self.shop, worker=number))
        return wrap_app(app, self.settings)


def wrap_app(app: ASGIApp, settings: Settings) -> ASGIApp:
    """Return the app behind the middleware, or as it is where recording is off."""
    if not settings.enabled:
        return app
    from apimon.server.monitoring import LokiMonitoringMiddleware

    return LokiMonitoringMiddleware(app, settings=settings)


def _end_with_parent() -> None:
    # Killed, a supervisor can't end its workers: they would go on, and hold the port.
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent,), name="parent-watch", daemon=True).start()


def _end_after(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
