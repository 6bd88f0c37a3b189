"""HTTP and websockets to one Loki, by aiohttp: one pool, credentials, and what goes wrong as errors of apimon.

Knows nothing of what is asked or answered.
"""

import asyncio
import os
import re
import ssl
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from urllib.parse import quote as quote_url

import aiohttp
from yarl import URL

from apimon.config import LokiSettings
from apimon.errors import ApimonError, LokiResponseError, LokiUnreachableError, QueryError
from apimon.loki.wire.encoding_flags import CATEGORIZE_HEADERS
from apimon.loki.wire.parse import parse_error_position

POOL_CONNECTIONS = 10
POOL_CONNECTIONS_PER_HOST = 5
KEEP_ALIVE_S = 30.0

Params = Mapping[str, object]
"""Query parameters; those that are None are left out."""

_LONGEST_GET_QUERY = 4_000
"""Longer queries go as a form: many a server refuses a URL of more than 8 KB."""
_HEARTBEAT_S = 20.0
"""A tail's network can vanish without a word: a ping that is not answered tells."""


class LokiConnection:
    """The pool of connections to one Loki; lazy, and made anew in an event loop that comes after the one it was in."""

    def __init__(self, settings: LokiSettings) -> None:
        self._settings = settings
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def close(self) -> None:
        """Close every connection; the next call opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def read(self, path: str, params: Params, *, timeout_s: float) -> bytes:
        """Return the body of a successful answer.

        Raises QueryError for a query that doesn't parse, LokiResponseError for any other refusal, LokiUnreachableError.
        """
        query = str(params.get("query") or "")
        if len(query) <= _LONGEST_GET_QUERY:
            return await self._send("GET", self._url(path, params), timeout_s, headers=CATEGORIZE_HEADERS, query=query)
        form = aiohttp.FormData(list(_given(params)))
        return await self._send("POST", self._url(path), timeout_s, headers=CATEGORIZE_HEADERS, query=query, data=form)

    async def post(self, path: str, body: bytes, headers: Mapping[str, str], *, timeout_s: float) -> None:
        """Post `body`; raises LokiResponseError and LokiUnreachableError."""
        await self._send("POST", self._url(path), timeout_s, headers=headers, data=body)

    async def open_websocket(
        self, path: str, params: Params, *, timeout_s: float
    ) -> "aiohttp.ClientWebSocketResponse[bool]":
        """Return a websocket that is open; raises as `read` does."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._shake_hands(await self._open_session(), self._url(path, params))
        except aiohttp.WSServerHandshakeError as exc:
            # aiohttp keeps the refusal's text to itself; a plain request is refused in the same words.
            await self.read(path, params, timeout_s=timeout_s)
            raise self.unreachable(f"it answered {path} with {exc.status} and no websocket") from exc
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise self.unreachable(exc) from exc

    async def _shake_hands(self, session: aiohttp.ClientSession, url: URL) -> "aiohttp.ClientWebSocketResponse[bool]":
        return await session.ws_connect(
            url,
            headers=CATEGORIZE_HEADERS,
            heartbeat=_HEARTBEAT_S,
            max_msg_size=0,  # a frame is as long as its lines are
            timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
        )

    def unreachable(self, cause: Exception | str) -> LokiUnreachableError:
        """Return the error that says why this Loki can't be used."""
        reason = cause if isinstance(cause, str) else _describe(cause)
        return LokiUnreachableError(self._settings.base_url, reason)

    async def _send(
        self,
        method: str,
        url: URL,
        timeout_s: float,
        *,
        headers: Mapping[str, str],
        query: str = "",
        data: bytes | aiohttp.FormData | None = None,
    ) -> bytes:
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        session = await self._open_session()
        try:
            async with session.request(
                method, url, headers=headers, data=data, timeout=timeout, allow_redirects=False
            ) as answer:
                body = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise self.unreachable(exc) from exc
        except asyncio.CancelledError as exc:
            # aiohttp cancels whoever waits for a connection of a pool that is closed; a caller's own wish goes through.
            task = asyncio.current_task()
            if not session.closed or (task is not None and task.cancelling()):
                raise
            raise self.unreachable("the client was closed meanwhile") from exc
        if answer.status >= HTTPStatus.MULTIPLE_CHOICES:
            raise _refusal(answer.status, body.decode("utf-8", "replace"), answer.headers, query)
        return body

    async def _open_session(self) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            await self.close()
            self._loop = loop
        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=POOL_CONNECTIONS,
                limit_per_host=POOL_CONNECTIONS_PER_HOST,
                keepalive_timeout=KEEP_ALIVE_S,
                ssl=self._settings.ssl_context() or True,
            )
            self._session = aiohttp.ClientSession(connector=connector, headers=self._settings.headers())
        return self._session

    def _url(self, path: str, params: Params | None = None) -> URL:
        # Encoded here, as yarl would turn the %2F of a label's name back into a slash.
        query = "&".join(f"{quote_url(name)}={quote_url(value, safe='')}" for name, value in _given(params or {}))
        text = self._settings.base_url + path
        return URL(f"{text}?{query}" if query else text, encoded=True)


def _given(params: Params) -> Iterator[tuple[str, str]]:
    return ((name, str(value)) for name, value in params.items() if value is not None)


def _refusal(status: int, body: str, headers: Mapping[str, str], query: str) -> ApimonError:
    line, column = parse_error_position(body) if status == HTTPStatus.BAD_REQUEST and query else (0, 0)
    if line:
        return QueryError(" ".join(body.split()), line=line, column=column, query=query)
    retry_after = headers.get("Retry-After", "")
    return LokiResponseError(
        status, body, retry_after_s=float(retry_after) if _SECONDS.fullmatch(retry_after) else None
    )


_SECONDS = re.compile(r"[0-9]{1,9}", re.ASCII)


def _describe(exc: Exception) -> str:
    """Return the reason on one line, without aiohttp's names for things and without the URL of the request."""
    if isinstance(exc, TimeoutError):
        return "it does not answer in time"
    if isinstance(exc, aiohttp.ServerDisconnectedError):
        return "it closed the connection"
    if isinstance(exc, aiohttp.ClientConnectorError):
        return _describe_os_error(exc.os_error)
    if isinstance(exc, aiohttp.ClientPayloadError):
        return "its answer broke off or can't be decoded"
    if isinstance(exc, aiohttp.ClientResponseError):
        return "what answered doesn't speak HTTP"
    return " ".join(f"{type(exc).__name__}: {exc}".split())


def _describe_os_error(exc: OSError) -> str:
    # asyncio's own text names the address once more. An SSL error and a name server's have numbers of their own.
    if (exc.errno or 0) > 0 and not isinstance(exc, ssl.SSLError):
        return os.strerror(exc.errno or 0)
    return exc.strerror or str(exc)
