"""Serve, load, tail and query: what the client saw, what the database holds and what the log says agree."""

import asyncio
import json
import signal
from collections import Counter
from typing import Any

import aiohttp

from tests.e2e.conftest import Counts, ServeShop, Shop
from tests.support.processes import run_apimon, running_apimon
from tests.support.waiting import wait_until_equal

PURCHASE = "/products/{product_id}/purchase"


async def _purchase(shop: Shop, users: int, purchases: int) -> Counter[int]:
    """Buy with `users` at once until there were `purchases`; return how often each status came."""
    statuses: Counter[int] = Counter()
    numbers = iter(range(purchases))
    connector = aiohttp.TCPConnector(limit=users)

    async def buy(session: aiohttp.ClientSession) -> None:
        for number in numbers:
            url = f"{shop.url}/products/{number % 4 + 1}/purchase"
            async with session.post(url, json={"quantity": 1}) as answer:
                await answer.read()
                statuses[answer.status] += 1

    async with aiohttp.ClientSession(connector=connector) as session:
        await asyncio.gather(*(buy(session) for _ in range(users)))
    return statuses


def _client_counts(report: dict[str, Any]) -> Counts:
    return {
        (route["method"], route["route"], int(status)): count
        for route in report["routes"]
        for status, count in route["statuses"].items()
    }


async def test_purchases_agree_between_client_database_and_log(shop: Shop) -> None:
    statuses = await _purchase(shop, users=50, purchases=1000)
    assert set(statuses) == {200, 409}
    assert shop.orders_in_database() == statuses[200]
    expected = {("POST", PURCHASE, status): count for status, count in statuses.items()}
    await asyncio.to_thread(wait_until_equal, shop.logged, expected)


def test_a_load_run_s_figures_are_those_of_the_log(shop: Shop) -> None:
    done = run_apimon("load", shop.url, "--users", "5", "--duration", "3s", "--seed", "7", "--json", "-", "--quiet")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["totals"]["requests"] > 5
    pipeline = f'| json | run_id="{report["run_id"]}"'
    wait_until_equal(lambda: shop.logged(pipeline), _client_counts(report))
    assert shop.logged() == shop.logged(pipeline)


def test_three_terminals_do_what_their_names_say(shop: Shop) -> None:
    reading = ("--service", shop.service, "--loki", shop.loki.url)
    with running_apimon("tail", *reading, "--endpoint", "/products", "--output", "jsonl", "--lines", "1000") as tail:
        # Not waited for: what is served before the tail has started is its history, and nothing lies between.
        load = run_apimon("load", shop.url, "--duration", "3s", "--seed", "3", "--json", "-", "--quiet")
        report = json.loads(load.stdout)
        counts = _client_counts(report)
        expected = {key: count for key, count in counts.items() if key[1] == "/products"}
        lines = tail.wait_for_lines(sum(expected.values()))
        followed = Counter(
            (labels["method"], labels["endpoint"], int(labels["status_code"]))
            for labels in (json.loads(line)["labels"] for line in lines)
        )
        assert followed == expected
        assert shop.process.stop(signal.SIGINT) == 0
        assert tail.stop(signal.SIGINT) == 0
        assert tail.stdout.count("\n") == len(lines)
    query = run_apimon("query", *reading, "--limit", "0", "--output", "jsonl")
    assert query.returncode == 0, query.stderr
    assert len(query.stdout.splitlines()) == report["totals"]["requests"]
    failed = run_apimon("query", *reading, "--status", "4xx", "--limit", "0", "--output", "jsonl")
    assert len(failed.stdout.splitlines()) == sum(count for key, count in counts.items() if 400 <= key[2] < 500)


def test_smoke_finds_every_answer_right_and_logs_it(shop: Shop) -> None:
    done = run_apimon("smoke", shop.url)
    assert done.returncode == 0, done.stdout + done.stderr
    wait_until_equal(lambda: sum(shop.logged().values()), 12)
    assert shop.logged()["POST", "/simulate-error", 500] == 1
    assert shop.logged()["GET", "/products/{product_id}", 404] == 1


def test_two_workers_lose_and_double_nothing(loki_url: str, serve_shop: ServeShop) -> None:
    shop = serve_shop(loki_url, "--delay-scale", "0", "--workers", "2")
    statuses = asyncio.run(_purchase(shop, users=20, purchases=300))
    assert shop.orders_in_database() == statuses[200]
    assert shop.process.stop(signal.SIGTERM) == 0
    # A worker drains its shipper before it ends: nothing is waited for.
    assert shop.logged() == {("POST", PURCHASE, status): count for status, count in statuses.items()}
