"""`POST /loki/api/v1/push`: decode, check, make durable, then answer."""

import asyncio

from aiohttp import web

from apimon.loki.embedded.api.services import SERVICES
from apimon.loki.wire.push_decode import (
    PushDecodeError,
    PushedStream,
    decode_push_json,
    decode_push_protobuf,
    decompress_push,
)


async def push(request: web.Request) -> web.Response:
    """Store a push; 204 means that it is on the disk."""
    services = request.app[SERVICES]
    streams = _decode(request, await request.read(), services.ingest_limits.max_push_bytes)
    if not streams:
        return web.Response(status=422, text="error at least one valid stream is required for ingestion\n")
    intake = services.intaker.take(streams, services.clock_ns())
    if intake.accepted:
        # Shielded: a sender that leaves now may find its push stored, never half of it forgotten by the tails.
        await asyncio.shield(asyncio.wrap_future(services.store.append(intake.accepted)))
        services.tails.publish(intake.accepted)
    if intake.refusal is not None:
        return web.Response(status=intake.refusal.status, text=intake.refusal.message + "\n")
    return web.Response(status=204)


def _decode(request: web.Request, body: bytes, max_bytes: int) -> list[PushedStream]:
    media_type = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if not media_type:
        raise PushDecodeError("mime: no media type")
    encoding = request.headers.get("Content-Encoding", "")
    plain = decompress_push(body, encoding, max_bytes)
    if media_type == "application/json":
        return decode_push_json(plain)
    return decode_push_protobuf(plain, max_bytes)
