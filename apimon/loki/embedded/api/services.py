"""What the handlers of one server share."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from aiohttp import web

from apimon.loki.embedded.intake import Intaker
from apimon.loki.embedded.leases import Leases
from apimon.loki.embedded.limits import IngestLimits, QueryLimits
from apimon.loki.embedded.running import QueryRunner
from apimon.loki.embedded.store import Store
from apimon.loki.embedded.tailing import TailHub


@dataclass(frozen=True)
class Services:
    """The server's parts, each made once."""

    store: Store
    intaker: Intaker
    queries: QueryRunner
    tails: TailHub
    leases: Leases
    ingest_limits: IngestLimits = field(default_factory=IngestLimits)
    query_limits: QueryLimits = field(default_factory=QueryLimits)
    clock_ns: Callable[[], int] = time.time_ns


SERVICES = web.AppKey("services", Services)
