"""One websocket of Loki's tail: its frames, and why it ended.

Reconnecting is `apimon.loki.follow`'s.
"""

from types import TracebackType
from typing import Self

import aiohttp

from apimon.loki.connection import LokiConnection, Params
from apimon.loki.wire.parse import TailFrame, parse_tail_frame

TAIL_PATH = "/loki/api/v1/tail"


class Tail:
    """An async context, connected when it is entered, that iterates over the frames that arrive.

    The iteration never ends by itself: it raises LokiUnreachableError with the reason when the connection breaks or
    Loki closes it, as it does after an hour (code 1011).
    """

    def __init__(self, connection: LokiConnection, params: Params, *, connect_timeout_s: float) -> None:
        self._connection = connection
        self._params = params
        self._connect_timeout_s = connect_timeout_s
        self._socket: aiohttp.ClientWebSocketResponse[bool] | None = None

    async def __aenter__(self) -> Self:
        self._socket = await self._connection.open_websocket(TAIL_PATH, self._params, timeout_s=self._connect_timeout_s)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._socket is not None:
            await self._socket.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> TailFrame:
        if self._socket is None:
            raise RuntimeError("a tail is iterated over inside its context")
        message = await self._socket.receive()
        if message.type is aiohttp.WSMsgType.TEXT or message.type is aiohttp.WSMsgType.BINARY:
            return self._parse(message.data)
        raise self._connection.unreachable(_describe_end(message.type, message.data, message.extra))

    def _parse(self, data: bytes | str) -> TailFrame:
        try:
            return parse_tail_frame(data)
        except ValueError as exc:
            raise self._connection.unreachable(f"its tail sent what no Loki sends ({exc})") from exc


def _describe_end(kind: aiohttp.WSMsgType, data: object, extra: object) -> str:
    if kind is aiohttp.WSMsgType.CLOSE:
        return f"it closed the tail with code {data}" + (f" ({extra})" if extra else "")
    return f"the tail broke off ({data})" if data else "the tail's connection was closed"
