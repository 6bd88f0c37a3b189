"""Tailing over a websocket: history, then what comes, once each."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from apimon.loki.embedded.limits import QueryLimits
from apimon.loki.embedded.server import ServerConfig
from tests.loki.embedded.server_support import NOW, Client, running_server, seconds_ago


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with running_server() as running:
        yield running


@asynccontextmanager
async def tailing(
    client: Client, query: str = '{app="a"}', **params: object
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    sent = {"query": query, **{name: str(value) for name, value in params.items()}}
    async with client.session.ws_connect(f"{client.server.url}/loki/api/v1/tail", params=sent) as socket:
        yield socket


async def read_lines(socket: aiohttp.ClientWebSocketResponse, count: int) -> list[str]:
    lines: list[str] = []
    while len(lines) < count:
        frame = await asyncio.wait_for(socket.receive_json(), 10)
        lines += [value[1] for stream in frame["streams"] for value in stream["values"]]
    return lines


async def test_history_comes_first_oldest_first_and_then_what_is_pushed(client: Client) -> None:
    await client.push({"app": "a"}, (seconds_ago(3), "one"), (seconds_ago(2), "two"), (seconds_ago(2), "too"))
    await client.push({"app": "a", "x": "y"}, (seconds_ago(2.5), "between"))
    async with tailing(client) as socket:
        assert await read_lines(socket, 4) == ["one", "between", "two", "too"]
        await client.push({"app": "a"}, (NOW, "live"))
        await client.push({"app": "b"}, (NOW, "of another app"))
        await client.push({"app": "a"}, (NOW + 1, "later"))
        assert await read_lines(socket, 2) == ["live", "later"]


async def test_a_frame_has_the_labels_of_stream_and_metadata(client: Client) -> None:
    async with tailing(client) as socket:
        await client.push({"app": "a", "level": "info"}, (NOW, "x", {"trace": "7", "level": "sm"}))
        frame = await socket.receive_json()
    labels = {
        "app": "a",
        "level": "info",
        "service_name": "a",
        "detected_level": "info",
        "level_extracted": "sm",
        "trace": "7",
    }
    assert frame == {"streams": [{"stream": labels, "values": [[str(NOW), "x"]]}]}


async def test_the_pipeline_filters_and_rewrites(client: Client) -> None:
    async with tailing(client, '{app="a"} |= "GET" | json | status >= 500 | line_format "{{.path}}"') as socket:
        await client.push(
            {"app": "a"},
            (NOW, '{"m": "GET", "status": 200, "path": "/ok"}'),
            (NOW + 1, '{"m": "GET", "status": 500, "path": "/bad"}'),
            (NOW + 2, '{"m": "PUT", "status": 500, "path": "/put"}'),
            (NOW + 3, '{"m": "GET", "status": 503, "path": "/worse"}'),
        )
        assert await read_lines(socket, 2) == ["/bad", "/worse"]


async def test_limit_and_start_bound_the_history(client: Client) -> None:
    await client.push({"app": "a"}, *((seconds_ago(n), str(n)) for n in range(9, 0, -1)))
    async with tailing(client, limit=2) as socket:
        assert await read_lines(socket, 2) == ["2", "1"]
    async with tailing(client, start=seconds_ago(3)) as socket:
        assert await read_lines(socket, 3) == ["3", "2", "1"]


async def test_a_push_that_is_sent_again_is_shown_once(client: Client) -> None:
    async with tailing(client) as socket:
        for _ in range(3):
            await client.push({"app": "a"}, (NOW, "x"))
        await client.push({"app": "a"}, (NOW, "end"))
        assert await read_lines(socket, 2) == ["x", "end"]


async def test_a_tail_that_joins_while_entries_come_misses_none_and_doubles_none(client: Client) -> None:
    async def push_all() -> None:
        for number in range(60):
            await client.push({"app": "a"}, (NOW + number, str(number)))

    pushing = asyncio.create_task(push_all())
    await asyncio.sleep(0)
    for _ in range(4):
        async with tailing(client, limit=1000) as socket:
            await read_lines(socket, 1)
    async with tailing(client, limit=1000) as socket:
        found = await read_lines(socket, 60)
    await pushing
    assert sorted(found, key=int) == [str(number) for number in range(60)]


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"query": "{app="}, "parse error"),
        ({"query": 'rate({app="a"}[1m])'}, "tail"),
        ({"delay_for": "6"}, "delay_for can't be greater than 5"),
        ({"limit": "0"}, "limit must be"),
        ({"query": '{app="a"} | decolorize'}, "not supported yet"),
    ],
)
async def test_what_cannot_be_tailed_is_a_400(client: Client, params: dict[str, str], words: str) -> None:
    asked: dict[str, Any] = {"query": '{app="a"}', **params}
    status, text = await client.ask("/loki/api/v1/tail", **asked)
    assert (status, words in text) == (400, True), text


async def test_one_tail_too_many_is_refused_and_room_comes_back() -> None:
    limits = replace(QueryLimits(), max_tails=1)
    async with running_server(ServerConfig(port=0, clock_ns=lambda: NOW, query_limits=limits)) as client:
        async with tailing(client):
            status, text = await client.ask("/loki/api/v1/tail", query='{app="a"}')
            assert (status, "(2 > 1)" in text) == (400, True)
        await client.push({"app": "a"}, (NOW, "x"))
        async with tailing(client) as socket:
            assert await read_lines(socket, 1) == ["x"]


async def test_the_server_ends_while_somebody_tails() -> None:
    async with (
        running_server() as client,
        client.session.ws_connect(f"{client.server.url}/loki/api/v1/tail", params={"query": '{app="a"}'}) as socket,
    ):
        closing = asyncio.create_task(client.server.close())
        message = await asyncio.wait_for(socket.receive(), 10)
        await closing
        assert message.type in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSING}
