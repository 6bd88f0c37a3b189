import asyncio
import re
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from apimon.server.shop.store import ShopStore
from apimon.units import parse_rfc3339_ns
from tests.server.shop.conftest import RunShop

Json = Any


async def get(client: aiohttp.ClientSession, path: str) -> Json:
    async with client.get(path) as answer:
        assert answer.status == 200
        return await answer.json()


async def buy(
    client: aiohttp.ClientSession, product_id: int = 1, quantity: int = 1, user: str | None = None
) -> tuple[int, Json]:
    path = f"/products/{product_id}/purchase"
    headers = {"X-User-Id": user} if user else {}
    async with client.post(path, json={"quantity": quantity}, headers=headers) as answer:
        return answer.status, await answer.json()


async def test_front_page_has_a_message_and_the_time_in_utc(client: aiohttp.ClientSession) -> None:
    answer = await get(client, "/")
    assert set(answer) == {"message", "timestamp"}
    assert answer["timestamp"].endswith("Z")
    parse_rfc3339_ns(answer["timestamp"])


async def test_health_is_healthy(client: aiohttp.ClientSession) -> None:
    answer = await get(client, "/health")
    assert (answer["status"], set(answer)) == ("healthy", {"status", "timestamp"})


async def test_products_have_their_five_fields(client: aiohttp.ClientSession) -> None:
    answer = await get(client, "/products")
    assert [product["id"] for product in answer] == [1, 2, 3, 4]
    assert list(answer[0]) == ["id", "name", "price", "description", "created_at"]
    assert answer[0]["price"] == 45_000
    assert answer[0]["description"] == "高效能筆電"


async def test_one_product_is_the_one_of_the_list(client: aiohttp.ClientSession) -> None:
    assert await get(client, "/products/4") == (await get(client, "/products"))[3]


async def test_featured_products_cost_20000_or_more(client: aiohttp.ClientSession) -> None:
    assert [product["name"] for product in await get(client, "/products/featured/list")] == [
        "MacBook Pro", "iPhone 15", "iPad Air",
    ]  # fmt: skip


async def test_a_purchase_answers_with_its_receipt(client: aiohttp.ClientSession) -> None:
    status, receipt = await buy(client, 3, 3)
    assert status == 200
    assert list(receipt) == ["order_id", "product", "quantity", "total_price", "message"]
    assert (receipt["product"], receipt["quantity"], receipt["total_price"]) == ("AirPods Pro", 3, 24_000)


async def test_the_user_is_the_header_s_or_anonymous(client: aiohttp.ClientSession) -> None:
    await buy(client, user="ann")
    await buy(client)
    orders = (await get(client, "/orders?limit=2"))["orders"]
    assert [order["user_id"] for order in orders] == ["anonymous", "ann"]


async def test_a_whole_number_may_be_written_with_a_fraction_of_zero(client: aiohttp.ClientSession) -> None:
    async with client.post("/products/1/purchase", json={"quantity": 2.0}) as answer:
        assert (await answer.json())["quantity"] == 2


async def test_slow_endpoint_answers(client: aiohttp.ClientSession) -> None:
    assert set(await get(client, "/slow-endpoint")) == {"message", "timestamp"}


async def test_orders_are_read_to_the_end_by_their_cursor(run_shop: RunShop) -> None:
    async with aiohttp.ClientSession(run_shop()) as client:
        bought = [(await buy(client))[1]["order_id"] for _ in range(7)]
        pages = [await get(client, "/orders?limit=3")]
        while (cursor := pages[-1]["next_cursor"]) is not None:
            pages.append(await get(client, f"/orders?limit=3&cursor={cursor}"))
    assert [order["id"] for page in pages for order in page["orders"]] == bought[::-1]
    assert len(pages) == 3


async def test_a_page_that_ends_with_the_last_order_has_no_next(run_shop: RunShop) -> None:
    async with aiohttp.ClientSession(run_shop()) as client:
        for _ in range(3):
            await buy(client)
        assert (await get(client, "/orders?limit=3"))["next_cursor"] is None


async def test_stats_without_orders_are_zero(run_shop: RunShop) -> None:
    async with aiohttp.ClientSession(run_shop()) as client:
        expected = {"total_orders": 0, "total_revenue": 0, "average_order_value": 0}
        assert await get(client, "/orders/stats") == expected


async def test_the_average_is_rounded_half_up_to_cents(run_shop: RunShop) -> None:
    async with aiohttp.ClientSession(run_shop()) as client:
        for product_id in (1, 1, 3):  # 98000 / 3
            await buy(client, product_id)
        expected = {"total_orders": 3, "total_revenue": 98_000, "average_order_value": 32666.67}
        assert await get(client, "/orders/stats") == expected


async def test_a_shortage_is_a_409_that_names_the_product_and_leaves_no_order(run_shop: RunShop) -> None:
    async with aiohttp.ClientSession(run_shop(stock_failure=1)) as client:
        assert await buy(client, 2) == (409, {"error": "iPhone 15 is out of stock", "status_code": 409})
        assert (await buy(client, 999))[0] == 404
        assert (await get(client, "/orders"))["orders"] == []


async def test_a_seed_repeats_the_shortages(run_shop: RunShop, tmp_path: Path) -> None:
    runs = []
    for name in ("a.db", "b.db"):
        async with aiohttp.ClientSession(run_shop(db=tmp_path / name, seed=3, stock_failure=0.5)) as client:
            runs.append([(await buy(client))[0] for _ in range(20)])
    assert runs[0] == runs[1]
    assert set(runs[0]) == {200, 409}


async def test_delays_are_simulated(run_shop: RunShop) -> None:
    loop = asyncio.get_running_loop()
    async with aiohttp.ClientSession(run_shop(delay_scale=1)) as client:
        started = loop.time()
        await get(client, "/products/1")
        assert loop.time() - started >= 0.01


async def test_a_thousand_purchases_of_fifty_clients_are_a_thousand_orders(run_shop: RunShop, tmp_path: Path) -> None:
    url = run_shop(stock_failure=0.1)

    async def shop_around(user: int) -> list[tuple[int, Any]]:
        async with aiohttp.ClientSession(url) as client:
            return [await buy(client, 1 + user % 4, 1 + user % 3, f"user-{user}") for _ in range(20)]

    answers = [answer for user in await asyncio.gather(*map(shop_around, range(50))) for answer in user]
    receipts = [receipt for status, receipt in answers if status == 200]
    assert len(answers) == 1000
    assert {status for status, _ in answers} == {200, 409}
    with ShopStore(tmp_path / "shop.db") as store:
        orders = store.list_orders(before=None, limit=2000)
        totals = store.total_orders()
    assert sorted(order.id for order in orders) == sorted(receipt["order_id"] for receipt in receipts)
    assert totals == (len(receipts), sum(receipt["total_price"] for receipt in receipts))


async def test_a_client_that_leaves_in_the_middle_of_a_purchase_harms_nobody(run_shop: RunShop) -> None:
    url = run_shop(delay_scale=1)
    async with aiohttp.ClientSession(url) as client:
        purchase = asyncio.create_task(buy(client))
        await get(client, "/health")
        purchase.cancel()
        assert (await buy(client))[0] == 200


@pytest.mark.parametrize("path", ["/docs", "/openapi.json"])
async def test_the_documentation_is_served(client: aiohttp.ClientSession, path: str) -> None:
    async with client.get(path) as answer:
        assert answer.status == 200


async def test_every_operation_has_one_tag_and_a_summary_of_its_own(client: aiohttp.ClientSession) -> None:
    schema = await get(client, "/openapi.json")
    operations = [operation for path in schema["paths"].values() for operation in path.values()]
    assert len(operations) == 10
    assert all(len(operation["tags"]) == 1 for operation in operations)
    assert {tag["name"] for tag in schema["tags"]} == {operation["tags"][0] for operation in operations}
    assert not re.search("HTTPValidationError", str(schema))
