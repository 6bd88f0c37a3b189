"""The server under load: its URL, taken apart once, its address, looked up once, and new connections to it."""

import asyncio
import base64
import os
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from apimon.errors import UnreachableError, UsageError

P = TypeVar("P", bound=asyncio.Protocol)


@dataclass(frozen=True)
class Target:
    """Where requests go. `repr` shows no secret."""

    url: str
    """As given, without credentials and without a slash at its end: safe to print."""
    scheme: str
    host: str
    port: int
    authority: str
    """What the Host header says: the port only where it is not the scheme's own."""
    authorization: str = field(default="", repr=False)
    """The Authorization header that the URL's credentials make; empty where it has none."""


def parse_target(url: str) -> Target:
    """Take a base URL apart. Raises UsageError: another scheme, no host, a bad port, a path, a query or a fragment."""
    shown = hide_credentials(url)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or parts.scheme not in {"http", "https"} or any(char <= " " for char in url):
        raise UsageError(f"{shown!r} is not a URL to load: write it as http://127.0.0.1:8000")
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise UsageError(f"{shown!r} has a path: the scenario says which paths are asked for, give the URL before them")
    default_port = 443 if parts.scheme == "https" else 80
    bracketed = f"[{host}]" if ":" in host else host
    authority = bracketed if port in {None, default_port} else f"{bracketed}:{port}"
    return Target(
        url=f"{parts.scheme}://{authority}",
        scheme=parts.scheme,
        host=host,
        port=default_port if port is None else port,
        authority=authority,
        authorization=_basic_authorization(parts.username, parts.password),
    )


def hide_credentials(url: str) -> str:
    """Return the URL with what stands before its @ replaced by ***."""
    scheme, separator, rest = url.partition("://")
    netloc, slash, path = rest.partition("/")
    return f"{scheme}{separator}***@{netloc.rpartition('@')[2]}{slash}{path}" if "@" in netloc else url


def _basic_authorization(username: str | None, password: str | None) -> str:
    if username is None and password is None:
        return ""
    pair = f"{unquote(username or '')}:{unquote(password or '')}"
    return "Basic " + base64.b64encode(pair.encode()).decode("ascii")


class Dialer:
    """Opens connections to a target; the address that answered first is used for the whole run."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._address = target.host
        self._ssl = ssl.create_default_context() if target.scheme == "https" else None

    async def probe(self, timeout_s: float) -> None:
        """Look the host up and open one connection, TLS included, then close it. Raises UnreachableError."""
        url = self._target.url
        try:
            async with asyncio.timeout(timeout_s):
                await self._find_address()
        except TimeoutError as exc:
            raise UnreachableError(
                f"cannot connect to {url}: no connection within {timeout_s:g} s; is it the right host and port?"
            ) from exc
        except UnicodeError as exc:
            raise UnreachableError(f"cannot connect to {url}: {self._target.host!r} is not a host name") from exc
        except OSError as exc:
            raise UnreachableError(
                f"cannot connect to {url}: {describe_os_error(exc)}; start the server, or give the URL of one that runs"
            ) from exc

    async def open(self, protocol_factory: Callable[[], P]) -> P:
        """Open a connection. Raises OSError."""
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_connection(
            protocol_factory,
            self._address,
            self._target.port,
            ssl=self._ssl,
            server_hostname=self._target.host if self._ssl else None,
        )
        return protocol

    async def _find_address(self) -> None:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(self._target.host, self._target.port, type=socket.SOCK_STREAM)
        failure: OSError | None = None
        for address in dict.fromkeys(str(info[4][0]) for info in found):
            self._address = address
            try:
                protocol = await self.open(_Probe)
            except OSError as exc:
                failure = failure or exc
            else:
                protocol.close()
                return
        raise failure or OSError("the host has no address")


class _Probe(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def close(self) -> None:
        self._transport.close()


def describe_os_error(exc: OSError) -> str:
    """Return a few words that repeat for the same cause, without addresses: they are counted and printed."""
    if isinstance(exc, ConnectionRefusedError):
        return "connection refused"
    if isinstance(exc, ConnectionResetError):
        return "connection reset by the server"
    if isinstance(exc, ssl.SSLCertVerificationError):
        return f"TLS certificate not accepted: {exc.verify_message}"
    if isinstance(exc, ssl.SSLError):
        return f"TLS failed: {(exc.reason or str(exc)).replace('_', ' ').lower()}"
    if isinstance(exc, socket.gaierror):
        return "host name not found"
    return os.strerror(exc.errno).lower() if exc.errno else str(exc) or type(exc).__name__
