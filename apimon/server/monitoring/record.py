"""What is known of one request: raw references, as the server and the app gave them.

Nothing is decoded, redacted or encoded here; `line` does that in the shipper's thread.
"""

from collections.abc import Iterable
from time import perf_counter_ns

from apimon.server.monitoring.asgi import Scope
from apimon.server.monitoring.failure import Failure
from apimon.server.monitoring.identity import Identity
from apimon.server.monitoring.route import RouteTraces, note_route
from apimon.server.monitoring.sampler import Snapshot

RawHeaders = Iterable[tuple[bytes, bytes]]


class RequestRecord:
    """One request's record; opened when the request comes, complete when the response has gone."""

    __slots__ = (
        "body", "client", "duration_ns", "failure", "headers", "identity", "in_flight", "is_aborted", "is_incomplete",
        "method", "path", "query", "request_bytes", "response_bytes", "response_headers", "route", "sample_rate",
        "snapshot", "started_ns", "status", "timestamp_ns", "ttfb_ns", "user_id",
    )  # fmt: skip

    method: str
    path: str
    query: bytes
    headers: RawHeaders
    client: tuple[str, int] | None
    route: RouteTraces
    duration_ns: int
    timestamp_ns: int
    """Unix time of the end."""
    in_flight: int
    """Requests under way at the end, this one included."""
    snapshot: Snapshot

    def __init__(self) -> None:
        self.status = 0
        """0 until the response has begun."""
        self.body = b""
        """The request's, as far as it is within the limit."""
        self.request_bytes = 0
        self.response_bytes = 0
        self.response_headers: RawHeaders = ()
        self.ttfb_ns = 0
        """From the start to the response's head; 0 where there was none."""
        self.is_aborted = False
        self.is_incomplete = False
        self.failure: Failure | None = None
        self.user_id: str | None = None
        """What the hook said; None where it said nothing."""
        self.sample_rate = 1.0
        self.identity: Identity | None = None
        """Its ids, once the headers have been read."""
        self.started_ns = perf_counter_ns()

    def take_scope(self, scope: Scope) -> None:
        """Take the references that the record needs from the scope, which would keep the whole request alive."""
        self.method = scope["method"]
        self.path = scope["path"]
        self.query = scope.get("query_string", b"")
        self.headers = scope["headers"]
        self.client = scope.get("client")
        self.route = note_route(scope)


class BackgroundRecord:
    """A failure after the response of `request` had gone: an event of its own, not a second request."""

    __slots__ = ("failure", "request", "timestamp_ns")

    def __init__(self, request: RequestRecord, failure: Failure, timestamp_ns: int) -> None:
        self.request = request
        self.failure = failure
        self.timestamp_ns = timestamp_ns


Record = RequestRecord | BackgroundRecord
