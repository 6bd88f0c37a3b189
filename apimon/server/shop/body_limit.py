"""How much of a request's body is read into memory: a pure ASGI middleware, so that nothing is buffered twice."""

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES = 64 * 1024


class BodyLimitMiddleware:
    """Answers 413 where an endpoint reads a body of more than `max_bytes`.

    One that announces its length is refused unread, another once it is longer. Who doesn't read isn't bothered.
    """

    def __init__(self, app: ASGIApp, *, max_bytes: int = MAX_BODY_BYTES) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced, received = _announced_length(scope), 0

        async def receive_limited() -> Message:
            nonlocal received
            self._check(announced)
            message = await receive()
            received += len(message.get("body", b""))
            self._check(received)
            return message

        await self._app(scope, receive_limited, send)

    def _check(self, length: int) -> None:
        if length > self._max_bytes:
            # Raised into the endpoint that reads: the exception handlers give it the body of every other error.
            raise HTTPException(413, f"the body is longer than {self._max_bytes} bytes")


def _announced_length(scope: Scope) -> int:
    """Return the Content-Length, which the server has checked; 0 where there is none."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0
