"""The shop scenario, in the same public form as a scenario file: four tasks of equal weight."""

from apimon.loadtest.pacing import ThinkTime
from apimon.loadtest.scenario import Scenario, task, task_of
from apimon.loadtest.user import VirtualUser


@task
async def browse(user: VirtualUser) -> None:
    """Look at the list of products."""
    await user.get("/products")


@task
async def view(user: VirtualUser) -> None:
    """Look at one product."""
    await user.get(f"/products/{user.random.randint(1, 4)}", name="/products/{product_id}")


@task
async def purchase(user: VirtualUser) -> None:
    """Buy one to three of a product; the shop's simulated shortage (409) is a failure to be seen."""
    product_id, quantity = user.random.randint(1, 4), user.random.randint(1, 3)
    await user.post(
        f"/products/{product_id}/purchase", json={"quantity": quantity}, name="/products/{product_id}/purchase"
    )


@task
async def orders(user: VirtualUser) -> None:
    """Look at the latest orders."""
    await user.get("/orders")


SHOP = Scenario(
    name="shop",
    tasks=[task_of(browse), task_of(view), task_of(purchase), task_of(orders)],
    pause=ThinkTime(0.1, 2.0),
)
