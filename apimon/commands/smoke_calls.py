"""The calls of `apimon smoke`: every endpoint of the shop once, the error cases too, and what each should answer."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from apimon.errors import UnreachableError

_TIMEOUT_S = 10.0  # the slow endpoint takes up to three
_CONNECT_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Call:
    """One request, and the statuses that are right for it."""

    method: str
    path: str
    expected: Sequence[int] = (200,)
    json: Any = None


@dataclass(frozen=True)
class Outcome:
    """What came of a call: a status, or `error` where there was no whole answer."""

    call: Call
    status: int | None
    duration_ms: float
    error: str = ""

    @property
    def passed(self) -> bool:
        """Whether the status is one of those expected."""
        return self.status in self.call.expected


CALLS = (
    Call("GET", "/"),
    Call("GET", "/health"),
    Call("GET", "/products"),
    Call("GET", "/products/1"),
    Call("GET", "/products/featured/list"),
    Call("POST", "/products/1/purchase", expected=(200, 409), json={"quantity": 1}),
    Call("GET", "/orders"),
    Call("GET", "/orders/stats"),
    Call("GET", "/slow-endpoint"),
    Call("GET", "/products/999", expected=(404,)),
    Call("POST", "/products/1/purchase", expected=(400,), json={"quantity": -1}),
    Call("POST", "/simulate-error", expected=(500,)),
)


async def make_calls(url: str, calls: Sequence[Call] = CALLS) -> AsyncIterator[Outcome]:
    """Make the calls one after the other and yield what came of each.

    Raises UnreachableError where the first one gets no connection; a later one without an answer is an outcome too.
    """
    base_url = url.rstrip("/")
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S, sock_connect=_CONNECT_TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        for index, call in enumerate(calls):
            try:
                yield await _make_call(session, base_url, call)
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as exc:
                reason = _explain_connection(exc)
                if index == 0:
                    remedy = "start one with 'apimon serve', or name its URL"
                    raise UnreachableError(f"no server at {base_url}: {reason}; {remedy}") from exc
                yield Outcome(call, None, 0, reason)


async def _make_call(session: aiohttp.ClientSession, base_url: str, call: Call) -> Outcome:
    clock = asyncio.get_running_loop().time
    started, status, error = clock(), None, ""
    try:
        async with session.request(call.method, base_url + call.path, json=call.json, allow_redirects=False) as answer:
            await answer.read()
            status = answer.status
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
        raise
    except (aiohttp.ClientError, TimeoutError) as exc:
        error = str(exc) or f"no whole answer within {_TIMEOUT_S:g} s"
    return Outcome(call, status, (clock() - started) * 1000, error)


def _explain_connection(exc: Exception) -> str:
    if isinstance(exc, aiohttp.ClientConnectorError):
        number = exc.os_error.errno
        # asyncio's own text names its call and the address, not the reason.
        return os.strerror(number).lower() if number and number > 0 else exc.os_error.strerror or str(exc.os_error)
    return f"no connection within {_CONNECT_TIMEOUT_S:g} s"
