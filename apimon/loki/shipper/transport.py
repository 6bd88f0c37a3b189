"""One push over HTTP, blocking, on a kept-alive connection.

The standard library's client is enough: one push at a time, from a thread of its own.
"""

import http.client
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Protocol
from urllib.parse import urlsplit

from apimon.config import LokiSettings
from apimon.loki.wire.push_encode import PUSH_HEADERS, PUSH_PATH

_LONGEST_ANSWER = 64 * 1024


@dataclass(frozen=True, slots=True)
class PushAnswer:
    """What Loki said to a push."""

    status: int
    body: str = ""
    retry_after_s: float | None = None


class PushTransport(Protocol):
    """The way to Loki; tests put failures here."""

    def push(self, body: bytes, timeout_s: float) -> PushAnswer:
        """Send one compressed push and return the answer of any status; raises OSError where there is none."""
        ...

    def close(self) -> None:
        """Let go of the connection; the next push opens a new one."""
        ...


class HttpPushTransport:
    """A push to the Loki of `settings`, with its credentials, over one connection that is kept."""

    def __init__(self, settings: LokiSettings) -> None:
        parts = urlsplit(settings.url)
        self._host = settings.host
        self._port = settings.port
        self._path = parts.path.rstrip("/") + PUSH_PATH
        self._headers = {**PUSH_HEADERS, **settings.headers(), "User-Agent": "apimon"}
        self._tls: ssl.SSLContext | None = settings.ssl_context()
        self._connection: http.client.HTTPConnection | None = None

    def push(self, body: bytes, timeout_s: float) -> PushAnswer:
        """Send one compressed push; raises OSError where no answer comes, a malformed one included.

        A kept connection that the server closed meanwhile is replaced once, at once: to send a push twice does no harm.
        """
        was_kept = self._connection is not None
        try:
            return self._exchange(body, timeout_s)
        except (ConnectionError, http.client.BadStatusLine):
            if not was_kept:
                raise
            return self._exchange(body, timeout_s)

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _exchange(self, body: bytes, timeout_s: float) -> PushAnswer:
        try:
            connection = self._connect(timeout_s)
            connection.request("POST", self._path, body, self._headers)
            response = connection.getresponse()
            text = response.read(_LONGEST_ANSWER).decode("utf-8", "replace")
        except (OSError, http.client.HTTPException) as exc:
            self.close()
            if isinstance(exc, OSError):
                raise
            raise ConnectionAbortedError(f"the answer is no HTTP: {exc!r}") from exc
        if response.will_close or not response.isclosed():
            self.close()
        return PushAnswer(response.status, text, parse_retry_after_s(response.getheader("Retry-After", "")))

    def _connect(self, timeout_s: float) -> http.client.HTTPConnection:
        if self._connection is None:
            if self._tls is None:
                self._connection = http.client.HTTPConnection(self._host, self._port)
            else:
                self._connection = http.client.HTTPSConnection(self._host, self._port, context=self._tls)
        self._connection.timeout = timeout_s
        if self._connection.sock is not None:
            self._connection.sock.settimeout(timeout_s)
        return self._connection


def parse_retry_after_s(value: str, now: datetime | None = None) -> float | None:
    """Return the seconds that a `Retry-After` asks for, None where it is no valid one.

    It is a number or a date (RFC 9110, 10.2.3); a date that has passed is 0.
    """
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - (now or datetime.now(UTC))).total_seconds())
