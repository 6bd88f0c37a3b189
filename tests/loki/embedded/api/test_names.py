"""Labels, values, series and stats over HTTP."""

import json
from collections.abc import AsyncIterator

import pytest

from tests.loki.embedded.server_support import NOW, Client, running_server, seconds_ago

A = {"app": "a", "service_name": "a"}
B = {"app": "b", "env": "dev", "service_name": "b"}


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with running_server() as running:
        await running.push({"app": "a"}, (seconds_ago(1), "one"), (seconds_ago(2), "two"))
        await running.push({"app": "b", "env": "dev"}, (seconds_ago(1), "three"))
        await running.push({"app": "old"}, (seconds_ago(7 * 3600), "old"))
        yield running


async def test_labels_are_those_of_the_last_six_hours(client: Client) -> None:
    assert await client.data("/labels") == ["app", "env", "service_name"]
    assert await client.data("/label", query='{app="a"}') == ["app", "service_name"]


async def test_label_values(client: Client) -> None:
    assert await client.data("/label/app/values") == ["a", "b"]
    assert await client.data("/label/app/values", since="8h") == ["a", "b", "old"]
    assert await client.data("/label/app/values", query='{env="dev"}') == ["b"]


async def test_a_label_that_nobody_has_has_no_data(client: Client) -> None:
    assert await client.ask("/loki/api/v1/label/no-such/values") == (200, '{"status":"success"}')


async def test_label_values_of_a_query_with_a_filter_are_refused(client: Client) -> None:
    assert (await client.ask("/loki/api/v1/label/app/values", query='{app="a"} |= "x"'))[0] == 400


async def test_series(client: Client) -> None:
    assert await client.data("/series") == [A, B]
    assert await client.data("/series", **{"match[]": '{app="b"}'}) == [B]
    assert await client.data("/series", match='{app=~".+"}', since="8h") == [
        A,
        B,
        {"app": "old", "service_name": "old"},
    ]
    assert await client.data("/series", match='{app="none"}') == []


async def test_series_of_an_empty_selector_are_refused(client: Client) -> None:
    assert (await client.ask("/loki/api/v1/series", match="{}"))[0] == 400


async def test_several_matches_are_joined(client: Client) -> None:
    async with client.session.post(
        f"{client.server.url}/loki/api/v1/series", data=[("match[]", '{app="a"}'), ("match[]", '{app=~"a|b"}')]
    ) as response:
        assert (await response.json())["data"] == [A, B]


async def test_index_stats(client: Client) -> None:
    status, text = await client.ask("/loki/api/v1/index/stats", query='{app="a"}')
    assert (status, json.loads(text)) == (200, {"streams": 1, "chunks": 1, "bytes": 6, "entries": 2})
    assert (await client.ask("/loki/api/v1/index/stats", query="{app="))[0] == 400


async def test_a_range_in_the_future_is_empty(client: Client) -> None:
    assert await client.data("/labels", start=NOW + 10**12, end=NOW + 10**13) is None
