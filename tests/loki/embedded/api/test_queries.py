"""Querying over HTTP: parameters, defaults, limits, and the forms of answers and errors."""

import asyncio
import json
from collections.abc import AsyncIterator
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
        await running.push({"app": "a", "level": "info"}, *((seconds_ago(n), f"line {n}") for n in range(150, 0, -1)))
        await running.push({"app": "b"}, (seconds_ago(7000), "b"))
        yield running


async def times(client: Client, query: str = '{app="a"}', **params: object) -> list[int]:
    result = await client.result(query, **params)
    return [int(value[0]) for stream in result for value in stream["values"]]


async def test_the_newest_hundred_of_the_last_hour_come_first(client: Client) -> None:
    assert await times(client) == [seconds_ago(n) for n in range(1, 101)]
    assert await times(client, '{app="b"}') == []


async def test_the_labels_of_stream_and_metadata_are_merged(client: Client) -> None:
    (stream,) = await client.result('{app="a"}', limit=1)
    assert stream["stream"] == {"app": "a", "level": "info", "service_name": "a", "detected_level": "info"}


async def test_labels_are_told_apart_for_who_asks_for_it(client: Client) -> None:
    line = '{"a":"1","level":"zz"}'
    await client.push({"app": "c", "level": "info"}, (NOW, line, {"level": "sm", "x": "y"}), (NOW, "{}"))
    flags = {"X-Loki-Response-Encoding-Flags": "categorize-labels"}
    asked: dict[str, Any] = {"query": '{app="c"} | json', "end": NOW + 1, "headers": flags}
    answer = json.loads((await client.ask("/loki/api/v1/query_range", **asked))[1])["data"]
    assert answer["encodingFlags"] == ["categorize-labels"]
    metadata = {"detected_level": "info", "x": "y"}
    parsed = {"a": "1", "level_extracted": "zz"}
    values = [
        [str(NOW), "{}", {"structuredMetadata": {"detected_level": "info"}}],
        [str(NOW), line, {"structuredMetadata": metadata, "parsed": parsed}],
    ]
    assert answer["result"] == [{"stream": {"app": "c", "level": "info", "service_name": "c"}, "values": values}]


async def test_limit_direction_and_range(client: Client) -> None:
    start, end = seconds_ago(20), seconds_ago(10)
    found = await times(client, start=start, end=end, direction="FORWARD", limit=3)
    assert found == [seconds_ago(20), seconds_ago(19), seconds_ago(18)]
    assert await times(client, start=start, end=start) == [start]
    assert await times(client, '{app="b"}', since="2h") == [seconds_ago(7000)]
    assert await times(client, start=start // 10**9 + 1, end="2026-11-22T19:15:46Z", limit=1) == [seconds_ago(9)]


async def test_a_form_is_read_like_a_query_string(client: Client) -> None:
    form = await client.ask("/loki/api/v1/query_range", method="POST", query='{app="a"}', limit=2)
    assert len(json.loads(form[1])["data"]["result"][0]["values"]) == 2


async def test_a_metric_query_over_a_range(client: Client) -> None:
    minute = seconds_ago(0) // (60 * 10**9) * 60
    (series,) = await client.result('sum(count_over_time({app="a"}[1m]))', start=minute - 60, end=minute, step="60")
    assert series == {"metric": {}, "values": [[minute - 60, "36"], [minute, "60"]]}


async def test_an_instant_query(client: Client) -> None:
    data = await client.data("/query", query='sum by (app)(count_over_time({app="a"}[10s]))', time=seconds_ago(0))
    assert isinstance(data, dict)
    assert (data["resultType"], data["result"][0]["metric"], data["result"][0]["value"][1]) == (
        "vector", {"app": "a"}, "9",
    )  # fmt: skip


async def test_grafanas_health_query(client: Client) -> None:
    data = await client.data("/query", query="vector(1)+vector(1)", time=4000000000, direction="backward")
    assert isinstance(data, dict)
    assert data["result"] == [{"metric": {}, "value": [4000000000, "2"]}]


async def test_the_answer_says_what_it_cost(client: Client) -> None:
    data = await client.data("/query_range", query='{app="a"}', limit=5)
    assert isinstance(data, dict)
    assert data["stats"]["summary"]["totalEntriesReturned"] == 5
    assert data["stats"]["summary"]["totalLinesProcessed"] >= 5


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"limit": 5001}, "limit > max_entries_limit_per_query (5001 > 5000)"),
        ({"limit": 0}, "limit must be a positive value"),
        ({"limit": "x"}, "limit 'x'"),
        ({"start": "x"}, "could not parse 'start' parameter"),
        ({"end": "12:00"}, "could not parse 'end' parameter"),
        ({"start": 5, "end": 4}, "end timestamp must not be before"),
        ({"step": "x"}, 'cannot parse "x" to a valid duration'),
        ({"step": 0}, "zero or negative query resolution"),
        ({"step": "-1s"}, "zero or negative query resolution"),
        ({"step": 1, "since": "4h"}, "exceeded maximum resolution of 11,000 points"),
        ({"direction": "up"}, "invalid direction 'up'"),
        ({"interval": -1}, "interval must be >= 0"),
        ({"since": "800d"}, "the query time range exceeds the limit"),
        ({"query": ""}, "syntax error: unexpected $end"),
        ({"query": '{app="a"'}, "parse error at line 1, col 9"),
        ({"query": "{}"}, "queries require at least one"),
        ({"query": '{app="' + "x" * 140_000 + '"}'}, "over the limit"),
    ],
)
async def test_what_cannot_be_asked_is_a_400_in_words(client: Client, params: dict[str, Any], words: str) -> None:
    asked: dict[str, Any] = {"query": '{app="a"}', **params}
    status, text = await client.ask("/loki/api/v1/query_range", method="POST", **asked)
    assert (status, words in text) == (400, True), text


async def test_an_instant_log_query_is_a_400(client: Client) -> None:
    status, text = await client.ask("/loki/api/v1/query", query='{app="a"}')
    assert status == 400
    assert text.startswith("log queries are not supported as an instant query type")


async def test_what_is_not_there_yet_is_a_400_that_says_so(client: Client) -> None:
    status, text = await client.ask("/loki/api/v1/query_range", query='{app="a"} | decolorize')
    assert (status, "not supported yet" in text) == (400, True)


async def test_format_query(client: Client) -> None:
    assert await client.data("/format_query", query='{app = "a"}|="x"') == '{app="a"} |= "x"'
    status, text = await client.ask("/loki/api/v1/format_query", query="{app=")
    assert status == 400
    assert json.loads(text)["status"] == "invalid-query"


async def test_a_query_that_takes_too_long_is_a_504() -> None:
    limits = replace(QueryLimits(), timeout_s=0.0)
    async with running_server(ServerConfig(port=0, clock_ns=lambda: NOW, query_limits=limits)) as client:
        await client.push({"app": "a"}, (NOW, "x"))
        status, text = await client.ask("/loki/api/v1/query_range", query='{app="a"}')
        assert (status, "timed out" in text) == (504, True)


async def test_a_client_that_leaves_does_not_disturb_the_server(client: Client) -> None:
    for _ in range(5):
        asking = asyncio.create_task(client.ask("/loki/api/v1/query_range", query='{app="a"} | json', limit=5000))
        await asyncio.sleep(0)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    assert len(await times(client)) == 100


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost", 200), ("127.0.0.1:9999", 200), ("[::1]:80", 200), ("127.8.8.8", 200), ("evil.example", 403),
     ("127.0.0.1.evil.example", 403), ("10.0.0.1", 403)],
)  # fmt: skip
async def test_only_loopback_hosts_come_in(client: Client, host: str, status: int) -> None:
    assert (await client.ask("/ready", headers={"Host": host}))[0] == status


async def test_unknown_paths_and_methods(client: Client) -> None:
    assert await client.ask("/loki/api/v1/nope") == (404, "404 page not found\n")
    assert (await client.ask("/loki/api/v1/push"))[0] == 405


async def test_ready_and_buildinfo(client: Client) -> None:
    assert await client.ask("/ready") == (200, "ready\n")
    assert json.loads((await client.ask("/loki/api/v1/status/buildinfo"))[1])["version"] == "3.7.6"


async def test_garbage_on_the_wire_does_not_disturb_the_server(client: Client) -> None:
    host, port = client.server.url.removeprefix("http://").split(":")
    for garbage in (b"\0\xff\r\n\r\n", b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n"):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(garbage)
        writer.write_eof()
        await reader.read()
        writer.close()
        await writer.wait_closed()
    async with aiohttp.ClientSession() as session, session.get(f"{client.server.url}/ready") as response:
        assert response.status == 200


async def test_a_get_may_carry_as_long_a_query_as_a_post() -> None:
    query = '{app="' + "é" * 30_000 + '"}'
    async with running_server() as client:
        for method in ("GET", "POST"):
            status, text = await client.ask("/loki/api/v1/query_range", method=method, query=query)
            assert status == 200, text[:200]
