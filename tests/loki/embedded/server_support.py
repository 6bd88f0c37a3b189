"""An embedded server in the test's own loop, and a client of it."""

import gzip
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from apimon.loki.embedded.server import EmbeddedServer, ServerConfig
from apimon.units import NS_PER_S

NOW = 1_795_374_954_164_482_446
"""The server's clock in these tests."""


@dataclass
class Client:
    """Asks one server; answers are (status, text) or decoded JSON."""

    session: aiohttp.ClientSession
    server: EmbeddedServer

    async def ask(
        self,
        path: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        **params: Any,  # noqa: ANN401  # whatever is sent
    ) -> tuple[int, str]:
        query = [(name, str(value)) for name, value in params.items()]
        sent: dict[str, Any] = {"params": query} if method == "GET" else {"data": query}
        async with self.session.request(method, self.server.url + path, headers=headers, **sent) as response:
            return response.status, await response.text()

    async def data(self, path: str, **params: Any) -> object:  # noqa: ANN401
        status, text = await self.ask("/loki/api/v1" + path, **params)
        assert status == 200, text
        return json.loads(text).get("data")

    async def result(self, query: str, **params: Any) -> list[dict[str, Any]]:  # noqa: ANN401
        data = await self.data("/query_range", query=query, **params)
        assert isinstance(data, dict)
        result: list[dict[str, Any]] = data["result"]
        return result

    async def push_raw(self, body: bytes, content_type: str = "application/json", **headers: str) -> tuple[int, str]:
        sent = {"Content-Type": content_type, **{name.replace("_", "-"): value for name, value in headers.items()}}
        async with self.session.post(f"{self.server.url}/loki/api/v1/push", data=body, headers=sent) as response:
            return response.status, await response.text()

    async def push(self, labels: Mapping[str, str], *entries: Sequence[object]) -> tuple[int, str]:
        values = [[str(entry[0]), *entry[1:]] for entry in entries]
        return await self.push_raw(
            gzip.compress(json.dumps({"streams": [{"stream": labels, "values": values}]}).encode()),
            Content_Encoding="gzip",
        )


@asynccontextmanager
async def running_server(config: ServerConfig | None = None) -> AsyncIterator[Client]:
    """Run a server, in memory and with its clock at NOW unless the config says otherwise."""
    config = config or ServerConfig(port=0, clock_ns=lambda: NOW)
    async with EmbeddedServer(config) as server, aiohttp.ClientSession() as session:
        yield Client(session, server)


def seconds_ago(seconds: float) -> int:
    return NOW - round(seconds * NS_PER_S)
