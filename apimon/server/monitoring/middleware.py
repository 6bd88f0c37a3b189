"""The middleware: lets everything through unchanged, and hands one record per request to the shipper."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace

from apimon.config import Settings, load_settings
from apimon.loki.shipper import HttpPushTransport, PushTransport, Shipper, ShippingCounts, ShippingLimits
from apimon.server.monitoring.asgi import ASGIApp, Receive, Scope, Send
from apimon.server.monitoring.exchange import Exchange
from apimon.server.monitoring.headers import read_request_headers
from apimon.server.monitoring.identity import is_sampled, parse_trace_id
from apimon.server.monitoring.lifespan import Lifespan
from apimon.server.monitoring.line import BODY_LIMIT, LineEncoder
from apimon.server.monitoring.record import BackgroundRecord, Record, RequestRecord
from apimon.server.monitoring.sampler import ProcessSampler

GetUserId = Callable[[Scope], object]
"""Returns who made the request, a str or an int, or None; called with its scope when the response has gone."""

_MARK = "apimon.recorded"
"""In the scope of a request that a middleware records, so that one inside it doesn't record it again."""


class LokiMonitoringMiddleware:
    """Records every HTTP request of an ASGI app and ships the records to Loki.

    `app.add_middleware(LokiMonitoringMiddleware, service_name="shop")`, or round any ASGI app by hand. Settings come
    from the environment and `.env` unless `settings` is given; `service_name` and `environment` go before them. With
    `LOKI_ENABLED=false` the app is called as if unwrapped, and nothing is started.

    The shipper starts with the app's lifespan, else with the first request, and is drained at the lifespan's end. A
    client that leaves while a plain handler computes is not seen, since the app goes on and answers: the record says
    200. Raises SettingError where a setting doesn't parse.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        service_name: str | None = None,
        environment: str | None = None,
        settings: Settings | None = None,
        get_user_id: GetUserId | None = None,
        transport: PushTransport | None = None,
        limits: ShippingLimits | None = None,
    ) -> None:
        """`transport` and `limits` stand in for the shipper's own."""
        settings = settings or load_settings()
        self.app = app
        self._recorder: Recorder | None = None
        if settings.enabled:
            self._recorder = Recorder(
                replace(
                    settings,
                    service_name=service_name or settings.service_name,
                    environment=environment or settings.environment,
                ),
                get_user_id,
                transport or HttpPushTransport(settings.loki),
                limits,
            )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the app; see ASGI."""
        recorder = self._recorder
        if recorder is None or scope["type"] == "websocket":
            await self.app(scope, receive, send)
        elif scope["type"] == "lifespan":
            await recorder.lifespan.run(self.app, scope, receive, send)
        elif _MARK in scope or recorder.excludes(scope):
            await self.app(scope, receive, send)
        else:
            scope[_MARK] = True
            exchange = recorder.open(scope, receive, send)
            try:
                await self.app(scope, exchange.receive, exchange.send)
            except BaseException as exc:
                # Whatever it was is the server's to deal with: the same exception goes on.
                exchange.fail(exc)
                raise
            exchange.end()

    def counts(self) -> ShippingCounts | None:
        """Return the account of every record so far; None where nothing is recorded."""
        return self._recorder.shipper.counts() if self._recorder else None


class Recorder:
    """What the requests of one middleware share: the settings, the shipper, the process's snapshot."""

    def __init__(
        self,
        settings: Settings,
        get_user_id: GetUserId | None,
        transport: PushTransport,
        limits: ShippingLimits | None,
    ) -> None:
        self._exclude = settings.exclude
        self._sample = settings.sample
        self._slow_ns = settings.slow_ns
        self._body_limit = BODY_LIMIT if settings.capture_body else 0
        self._get_user_id = get_user_id
        encoder = LineEncoder(settings.service_name, settings.environment, with_body=settings.capture_body)
        self.shipper: Shipper[Record] = Shipper(encoder.encode, transport, limits=limits)
        self.sampler = ProcessSampler()
        self.lifespan = Lifespan(self.start, self.drain)
        self.in_flight = 0
        self.hook_errors = 0
        """Calls of `get_user_id` that raised, or returned what is no user id."""
        self.record_errors = 0
        """Requests that could not be recorded at all."""
        self._is_started = False

    def excludes(self, scope: Scope) -> bool:
        """Whether the path is one that the settings leave out, with or without the server's root path."""
        if not self._exclude:
            return False
        path: str = scope["path"]
        return path in self._exclude or path.removeprefix(scope.get("root_path", "")) in self._exclude

    def open(self, scope: Scope, receive: Receive, send: Send) -> Exchange:
        """Begin to record a request."""
        if not self._is_started:
            self.start()
        self.in_flight += 1
        return Exchange(scope, receive, send, self, self._body_limit)

    def keep_request(self, record: RequestRecord, scope: Scope) -> None:
        """Queue the record, unless it is one of the fast successes that sampling leaves out."""
        try:
            self._keep(record, scope)
        except Exception:  # a scope that is not as ASGI says: the request has been answered, and stays so
            self.record_errors += 1

    def _keep(self, record: RequestRecord, scope: Scope) -> None:
        record.in_flight = self.in_flight
        self.in_flight -= 1
        record.snapshot = self.sampler.snapshot
        record.take_scope(scope)
        if self._sample < 1 and record.status < 400 and record.duration_ns < self._slow_ns and not self._draw(record):
            return
        if self._get_user_id is not None:
            record.user_id = self._ask_user_id(self._get_user_id, scope)
        self.shipper.put(record)

    def keep_background(self, record: BackgroundRecord) -> None:
        """Queue the record of a failure."""
        self.shipper.put(record)

    def start(self) -> None:
        """Start what runs in the background; called on the event loop."""
        self._is_started = True
        self.sampler.start()
        self.shipper.start()

    async def drain(self) -> None:
        """Deliver what is queued, within the limits, and stop what runs in the background."""
        self._is_started = False
        self.sampler.stop()
        await asyncio.to_thread(self.shipper.drain)

    def _draw(self, record: RequestRecord) -> bool:
        record.sample_rate = self._sample
        trace_id = parse_trace_id(read_request_headers(record.headers).traceparent)
        # By the trace, so that all services keep the same ones; without a trace it is a matter of luck.
        return is_sampled(trace_id, self._sample) if trace_id else random.random() < self._sample  # noqa: S311

    def _ask_user_id(self, get_user_id: GetUserId, scope: Scope) -> str | None:
        try:
            user_id = get_user_id(scope)
        except Exception:  # the app's own function: its fault must not become the request's
            self.hook_errors += 1
            return None
        if isinstance(user_id, str | int):
            return str(user_id)
        self.hook_errors += user_id is not None
        return None
