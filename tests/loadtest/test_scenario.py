"""Tasks, weights and the shop's own scenario."""

from collections import Counter
from random import Random

import pytest

from apimon.errors import ScenarioError
from apimon.loadtest import task
from apimon.loadtest.scenario import Scenario, Task, task_of
from apimon.loadtest.shop import SHOP
from apimon.loadtest.user import VirtualUser
from tests.loadtest.servers import OK, run_against


@task(weight=3)
async def often(user: VirtualUser) -> None: ...


@task
async def once(user: VirtualUser) -> None: ...


def test_task_keeps_its_name_and_weight() -> None:
    assert task_of(often) == Task("often", often, 3)
    assert task_of(once) == Task("once", once, 1)


@pytest.mark.parametrize("weight", [0, -1, float("nan"), float("inf")])
def test_weight_that_is_no_number_above_zero_is_refused(weight: float) -> None:
    with pytest.raises(ScenarioError, match="a weight is a number above 0"):
        task(weight=weight)


def test_scenario_without_a_task_is_refused() -> None:
    with pytest.raises(ScenarioError, match="has no task"):
        Scenario("empty", [])


def test_tasks_are_drawn_by_their_weights() -> None:
    scenario, random = Scenario("two", [task_of(often), task_of(once)]), Random(1)
    drawn = Counter(scenario.choose_task(random).name for _ in range(4000))
    assert drawn["often"] / drawn["once"] == pytest.approx(3, rel=0.1)


def test_same_seed_draws_the_same_tasks() -> None:
    first, second = Random(7), Random(7)
    assert [SHOP.choose_task(first) for _ in range(50)] == [SHOP.choose_task(second) for _ in range(50)]


def test_shop_has_four_tasks_of_equal_weight_and_thinks_up_to_two_seconds() -> None:
    assert [(entry.name, entry.weight) for entry in SHOP.tasks] == [
        ("browse", 1), ("view", 1), ("purchase", 1), ("orders", 1),
    ]  # fmt: skip
    assert (SHOP.pause.low_s, SHOP.pause.high_s) == (0.1, 2.0)


async def visit_all(user: VirtualUser) -> None:
    for entry in SHOP.tasks:
        await entry.function(user)


def test_shop_asks_for_what_the_contract_says() -> None:
    report, server = run_against([OK], visit_all)
    assert {(route.method, route.route) for route in report.routes} == {
        ("GET", "/products"),
        ("GET", "/products/{product_id}"),
        ("POST", "/products/{product_id}/purchase"),
        ("GET", "/orders"),
    }
    seen = {(request.method, request.path) for request in server.requests}
    purchases = {("POST", f"/products/{number}/purchase") for number in range(1, 5)}
    assert seen == {("GET", "/products"), ("GET", "/orders"), *purchases} | {
        ("GET", f"/products/{number}") for number in range(1, 5)
    }
    quantities = {request.body for request in server.requests if request.method == "POST"}
    assert quantities == {b'{"quantity":1}', b'{"quantity":2}', b'{"quantity":3}'}
