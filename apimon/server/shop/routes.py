"""The shop's endpoints, by tag."""

import time
from typing import Annotated, Any, NamedTuple, Never

from fastapi import APIRouter, Header, HTTPException, Path, Query, Request

from apimon.server.shop.async_store import AsyncShopStore
from apimon.server.shop.body_limit import MAX_BODY_BYTES
from apimon.server.shop.errors import SimulatedFailureError
from apimon.server.shop.models import (
    ErrorBody,
    Greeting,
    Health,
    OrderPage,
    OrderStats,
    ProductOut,
    PurchaseIn,
    PurchaseOut,
)
from apimon.server.shop.simulation import Simulation
from apimon.server.shop.store import FEATURED_PRICE, MAX_ID, Product, ShopStore
from apimon.units import format_rfc3339_ns

TAGS: list[dict[str, Any]] = [
    {"name": "general", "description": "The front page and the health check."},
    {"name": "products", "description": "The catalogue, and buying from it."},
    {"name": "orders", "description": "What was bought."},
    {"name": "simulation", "description": "Requests that go wrong or take long, on purpose."},
]

general = APIRouter(tags=["general"])
products = APIRouter(tags=["products"])
orders = APIRouter(tags=["orders"])
simulation = APIRouter(tags=["simulation"])

ProductId = Annotated[int, Path(ge=1, le=MAX_ID, description="The product's id.")]
UserId = Annotated[str, Header(alias="X-User-Id", min_length=1, max_length=128, description="Who buys.")]
Limit = Annotated[int, Query(ge=1, le=500, description="How many orders a page has at most.")]
Cursor = Annotated[int | None, Query(ge=1, le=MAX_ID, description="`next_cursor` of the page before.")]

Responses = dict[int | str, dict[str, Any]]
BAD_REQUEST: Responses = {
    400: {"model": ErrorBody, "description": "The quantity is not positive, or the body not JSON."}
}
NOT_FOUND: Responses = {404: {"model": ErrorBody, "description": "No such product."}}
TOO_LARGE: Responses = {413: {"model": ErrorBody, "description": f"The body is longer than {MAX_BODY_BYTES} bytes."}}
OUT_OF_STOCK: Responses = {409: {"model": ErrorBody, "description": "Out of stock (simulated)."}}
INVALID: Responses = {422: {"model": ErrorBody, "description": "A value is missing, out of range or of another type."}}
FAILED: Responses = {500: {"model": ErrorBody, "description": "An unexpected failure; the log has the exception."}}


class Shop(NamedTuple):
    """What every endpoint needs, kept on `app.state.shop`."""

    store: AsyncShopStore
    simulation: Simulation


def _shop(request: Request) -> Shop:
    shop: Shop = request.app.state.shop
    return shop


def _now() -> str:
    return format_rfc3339_ns(time.time_ns())


@general.get("/")
async def welcome() -> Greeting:
    """Say hello."""
    return Greeting(message="Welcome to the apimon shop", timestamp=_now())


@general.get("/health")
async def health() -> Health:
    """Tell whether the shop is up."""
    return Health(status="healthy", timestamp=_now())


@products.get("/products", response_model=list[ProductOut], responses=FAILED)
async def list_products(request: Request) -> list[Product]:
    """List the catalogue (10 to 50 ms)."""
    shop = _shop(request)
    await shop.simulation.delay(10, 50)
    return list(await shop.store.read(ShopStore.list_products))


@products.get("/products/featured/list", response_model=list[ProductOut], responses=FAILED)
async def list_featured_products(request: Request) -> list[Product]:
    """List the products of 20,000 dollars and more, slowly (100 to 500 ms)."""
    shop = _shop(request)
    await shop.simulation.delay(100, 500)
    return list(await shop.store.read(ShopStore.list_products, min_price=FEATURED_PRICE))


@products.get("/products/{product_id}", response_model=ProductOut, responses=NOT_FOUND | INVALID | FAILED)
async def get_product(request: Request, product_id: ProductId) -> Product:
    """Show one product (10 to 30 ms)."""
    shop = _shop(request)
    await shop.simulation.delay(10, 30)
    product = await shop.store.read(ShopStore.find_product, product_id)
    return product or _refuse_unknown(product_id)


@products.post(
    "/products/{product_id}/purchase",
    responses=BAD_REQUEST | NOT_FOUND | OUT_OF_STOCK | TOO_LARGE | INVALID | FAILED,
)
async def purchase(
    request: Request, product_id: ProductId, order: PurchaseIn, user_id: UserId = "anonymous"
) -> PurchaseOut:
    """Buy some of a product (20 to 100 ms); one in ten purchases meets a simulated shortage."""
    if order.quantity <= 0:
        raise HTTPException(400, f"quantity must be positive, not {order.quantity}")
    shop = _shop(request)
    await shop.simulation.delay(20, 100)
    if shop.simulation.draw_out_of_stock():
        product = await shop.store.read(ShopStore.find_product, product_id) or _refuse_unknown(product_id)
        raise HTTPException(409, f"{product.name} is out of stock")
    receipt = await shop.store.write(ShopStore.purchase, product_id, order.quantity, user_id)
    if receipt is None:
        _refuse_unknown(product_id)
    return PurchaseOut(**receipt._asdict(), message="Purchase successful")


@orders.get("/orders", responses=INVALID | FAILED)
async def list_orders(request: Request, limit: Limit = 50, cursor: Cursor = None) -> OrderPage:
    """List the orders, newest first, a page at a time (10 to 30 ms)."""
    shop = _shop(request)
    await shop.simulation.delay(10, 30)
    # One more than asked for tells whether there is a next page.
    found = await shop.store.read(ShopStore.list_orders, before=cursor, limit=limit + 1)
    page = found[:limit]
    next_cursor = page[-1].id if len(found) > limit else None
    return OrderPage.model_validate({"orders": page, "next_cursor": next_cursor})


@orders.get("/orders/stats", responses=FAILED)
async def order_stats(request: Request) -> OrderStats:
    """Sum up all orders (50 to 100 ms)."""
    shop = _shop(request)
    await shop.simulation.delay(50, 100)
    totals = await shop.store.read(ShopStore.total_orders)
    return OrderStats(
        total_orders=totals.orders,
        total_revenue=totals.revenue,
        average_order_value=_average_in_cents(totals.revenue, totals.orders) / 100,
    )


@simulation.post("/simulate-error", status_code=500, responses=FAILED)
async def simulate_error(request: Request) -> ErrorBody:
    """Fail with an unhandled exception, always (100 to 200 ms)."""
    await _shop(request).simulation.delay(100, 200)
    raise SimulatedFailureError("a simulated failure, asked for by POST /simulate-error")


@simulation.get("/slow-endpoint")
async def slow_endpoint(request: Request) -> Greeting:
    """Take one to three seconds."""
    await _shop(request).simulation.delay(1000, 3000)
    return Greeting(message="Slow, but here", timestamp=_now())


def _refuse_unknown(product_id: int) -> Never:
    raise HTTPException(404, f"there is no product {product_id}")


def _average_in_cents(total: int, count: int) -> int:
    """Return total / count in hundredths, rounded half up, by integers only; 0 without orders."""
    return (200 * total + count) // (2 * count) if count else 0
