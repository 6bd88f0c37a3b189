"""How the server is: `ready`, `status/buildinfo`, and the lease that keeps it."""

import os

import orjson
from aiohttp import web

from apimon.loki.embedded.api.services import SERVICES

LEASE_PATH = "/apimon/lease"
"""Held open by a command that needs the server; a real Loki answers 404, and needs no lease."""

EMULATED_VERSION = "3.7.6"
"""The Loki whose API this is; clients switch features on by it."""


async def ready(request: web.Request) -> web.Response:
    """Answer that requests are served: the store is open before the server listens."""
    return web.Response(text="ready\n")


async def buildinfo(request: web.Request) -> web.Response:
    """Answer in the shape of Loki's build information."""
    info = {
        "version": EMULATED_VERSION,
        "revision": "apimon",
        "branch": "",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
    }
    return web.Response(body=orjson.dumps(info), content_type="application/json")


async def lease(request: web.Request) -> web.StreamResponse:
    """Hold a lease until the connection ends: the first line says whose it is, no byte follows."""
    leases = request.app[SERVICES].leases
    if leases.expired.is_set():
        # Too late: the server is about to close, and who wants one has to start the next.
        return web.Response(status=503, text="the server is ending\n")
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Connection": "close"})
    with leases.hold():
        await response.prepare(request)
        await response.write(orjson.dumps({"pid": os.getpid()}) + b"\n")
        # Cancelled when the client has gone.
        await leases.expired.wait()
    return response
