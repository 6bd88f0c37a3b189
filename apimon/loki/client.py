"""The client that reads Loki and pushes single lines: lazy, pooled, for one event loop.

Reading raises the errors of `apimon.errors`. Pushing never raises for a Loki that is down or refuses: it returns
whether the line was taken. Services push through the shipper; `push_log` is for the odd line of a script.
"""

import logging
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote as quote_url

from apimon.config import LokiSettings, hide_credentials, load_settings, parse_loki_url
from apimon.errors import LokiResponseError, LokiUnreachableError, SettingError
from apimon.loki.connection import LokiConnection, Params
from apimon.loki.direct_push import build_api_stream, build_log_stream
from apimon.loki.model import Direction, Labels, QueryResult, Stream
from apimon.loki.tail import Tail
from apimon.loki.wire.parse import parse_names, parse_query_answer, parse_series
from apimon.loki.wire.push_encode import PUSH_HEADERS, PUSH_PATH, compress_push, encode_push

T = TypeVar("T")

_API = "/loki/api/v1"
_log = logging.getLogger("apimon.client")


class AsyncLokiClient:
    """A client of one Loki; use it as an async context manager, or keep it and `close()` it at the end.

    `url` (else the settings') is Loki's base URL; `settings` has the credentials, from the environment where it is
    None. With `enabled=False` pushes do nothing and return True. `service_name` and `environment` label what is pushed.
    `timeout_s` bounds a push, `query_timeout_s` each read. Raises SettingError where `url` can't be a base URL.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        enabled: bool = True,
        settings: LokiSettings | None = None,
        service_name: str | None = None,
        environment: str | None = None,
        timeout_s: float = 2.0,
        query_timeout_s: float = 60.0,
    ) -> None:
        loaded = load_settings()
        loki = settings or loaded.loki
        self._settings = replace(loki, url=_check_url(url)) if url is not None else loki
        self._enabled = enabled
        self._identity = {
            "service": service_name or loaded.service_name,
            "environment": environment or loaded.environment,
        }
        self._push_timeout_s = timeout_s
        self._query_timeout_s = query_timeout_s
        self._connection = LokiConnection(self._settings)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def url(self) -> str:
        """Loki's base URL, without credentials."""
        return self._settings.base_url

    @property
    def enabled(self) -> bool:
        """Whether pushes are sent."""
        return self._enabled

    async def close(self) -> None:
        """Close every connection; the next call opens new ones."""
        await self._connection.close()

    async def push_log(self, message: str, labels: Mapping[str, Any] | None = None, level: str = "info") -> bool:
        """Push one line now and return whether Loki took it.

        `labels` join `service`, `environment` and `level`. What would make a stream of each value (an id by its name or
        by its look, a path, a float), a secret (redacted), and more than 10 go into the line, which is a JSON object
        then; without them the line is `message`.
        """
        if not self._enabled:
            return True
        return await self._push(build_log_stream(message, labels or {}, level, self._identity, time.time_ns()))

    async def push_api_log(
        self,
        request_data: Mapping[str, Any],
        response_data: Mapping[str, Any] | None = None,
        performance_data: Mapping[str, Any] | None = None,
    ) -> bool:
        """Push the record of one request now and return whether Loki took it.

        The three mappings together are the record's line: `method`, `path`, `endpoint` (the route template), `user_id`,
        … of the request; `status_code`, `duration_ms`, … of the response; figures of the process. Labels are as in
        every record, from these; values whose names tell of a secret are redacted.
        """
        if not self._enabled:
            return True
        parts = (request_data, response_data or {}, performance_data or {})
        return await self._push(build_api_stream(parts, self._identity, time.time_ns()))

    async def query(
        self, query: str, *, time_ns: int | None = None, limit: int = 100, direction: Direction = Direction.BACKWARD
    ) -> QueryResult:
        """Run an instant query at `time_ns` (default: now): a vector or a scalar. Loki refuses log queries here.

        Raises QueryError where the query doesn't parse, LokiResponseError for any other refusal, LokiUnreachableError.
        """
        params = {"query": query, "limit": limit, "direction": direction, "time": time_ns}
        return await self._read("/query", params, parse_query_answer)

    async def query_range(
        self,
        query: str,
        *,
        start_ns: int,
        end_ns: int,
        limit: int = 100,
        direction: Direction = Direction.BACKWARD,
        step_s: float | None = None,
    ) -> QueryResult:
        """Run a query over [start, end), Unix ns: at most `limit` entries from where `direction` begins, or a matrix.

        `step_s` is a metric query's resolution; None leaves it to Loki. Errors as in `query`.
        """
        params = {
            "query": query, "start": start_ns, "end": end_ns, "limit": limit, "direction": direction, "step": step_s,
        }  # fmt: skip
        return await self._read("/query_range", params, parse_query_answer)

    async def labels(self, *, start_ns: int | None = None, end_ns: int | None = None) -> list[str]:
        """Return the label names of the streams in [start, end]; Loki's default is the last 6 hours."""
        return await self._read("/labels", {"start": start_ns, "end": end_ns}, parse_names)

    async def label_values(
        self, name: str, *, query: str | None = None, start_ns: int | None = None, end_ns: int | None = None
    ) -> list[str]:
        """Return the values of one label in [start, end]; `query` is a selector of the streams that count."""
        params = {"query": query, "start": start_ns, "end": end_ns}
        return await self._read(f"/label/{quote_url(name, safe='')}/values", params, parse_names)

    async def series(self, selector: str, *, start_ns: int | None = None, end_ns: int | None = None) -> list[Labels]:
        """Return the label sets of the streams that `selector` selects in [start, end]."""
        params = {"match[]": selector, "start": start_ns, "end": end_ns}
        return await self._read("/series", params, parse_series)

    async def tail(
        self, query: str, *, start_ns: int | None = None, limit: int | None = None
    ) -> AsyncGenerator[Stream, None]:
        """Yield what `query` selects: the last `limit` entries (Loki's default: 100) since `start_ns`, then live ones.

        `start_ns` is now where it is None. One websocket: raises LokiUnreachableError when it ends, after an hour at
        the latest; `apimon.loki.follow` reconnects. Close the iterator (`contextlib.aclosing`) to end it early.
        """
        async with self.open_tail(query, start_ns=start_ns, limit=limit) as tail:
            async for frame in tail:
                for stream in frame.streams:
                    yield stream

    def open_tail(self, query: str, *, start_ns: int | None = None, limit: int | None = None) -> Tail:
        """Return the context of one tail's websocket, which iterates over whole frames."""
        params = {"query": query, "start": time.time_ns() if start_ns is None else start_ns, "limit": limit}
        return Tail(self._connection, params, connect_timeout_s=self._query_timeout_s)

    async def _push(self, stream: Stream) -> bool:
        body = compress_push(encode_push([stream]))
        try:
            await self._connection.post(PUSH_PATH, body, PUSH_HEADERS, timeout_s=self._push_timeout_s)
        except (LokiResponseError, LokiUnreachableError) as exc:
            _log.debug("Loki did not take a line: %s", exc)
            return False
        return True

    async def _read(self, path: str, params: Params, parse: Callable[[bytes], T]) -> T:
        body = await self._connection.read(_API + path, params, timeout_s=self._query_timeout_s)
        try:
            return parse(body)
        except ValueError as exc:
            raise self._connection.unreachable(f"it answered {path} as no Loki does ({exc})") from exc


def _check_url(url: str) -> str:
    try:
        return parse_loki_url(url)
    except ValueError:
        raise SettingError("url", hide_credentials(url), "an http:// or https:// URL") from None
