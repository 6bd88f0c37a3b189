"""See every request your API serves, put it under load, and ask the logs what happened."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from apimon.loki.client import AsyncLokiClient
    from apimon.server.monitoring import LokiMonitoringMiddleware, PerformanceCollector

__version__ = "0.1.0"

__all__ = ["AsyncLokiClient", "LokiMonitoringMiddleware", "PerformanceCollector"]

_HOMES = {
    "AsyncLokiClient": "apimon.loki.client",
    "LokiMonitoringMiddleware": "apimon.server.monitoring",
    "PerformanceCollector": "apimon.server.monitoring",
}


def __getattr__(name: str) -> object:
    """Import what is asked for, when it is (PEP 562): the command line must not pay for the middleware."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    value: object = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
