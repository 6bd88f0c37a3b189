"""The recording half: the ASGI middleware, the record it writes, and the process's own figures."""

from apimon.server.monitoring.collector import PerformanceCollector
from apimon.server.monitoring.middleware import LokiMonitoringMiddleware

__all__ = ["LokiMonitoringMiddleware", "PerformanceCollector"]
