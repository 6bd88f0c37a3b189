"""The shop's app factory: configuration, life, and what hangs together in between."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from fastapi import FastAPI

from apimon import __version__
from apimon.server.shop.async_store import AsyncShopStore
from apimon.server.shop.body_limit import BodyLimitMiddleware
from apimon.server.shop.errors import install_error_handlers
from apimon.server.shop.routes import TAGS, Shop, general, orders, products, simulation
from apimon.server.shop.simulation import Simulation


@dataclass(frozen=True)
class ShopConfig:
    """What a shop needs to know; validated by whoever reads it from a user."""

    db: Path
    """The SQLite file, made where it is missing."""
    seed: int | None = None
    """Makes delays and shortages the same in every run; None: new ones for every start."""
    worker: int = 0
    """The number of this worker process, so that each draws its own sequence from the seed."""
    delay_scale: float = 1.0
    """Factor on every simulated delay, ≥ 0."""
    stock_failure: float = 0.1
    """Share of purchases that meet a shortage, 0 to 1."""


def create_app(config: ShopConfig) -> FastAPI:
    """Return the shop; its database is opened at the app's startup, which raises ShopStoreError where it can't be."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        store = AsyncShopStore(config.db)
        app.state.shop = Shop(store, _build_simulation(config))
        try:
            yield
        finally:
            store.close()

    app = FastAPI(
        title="apimon shop",
        version=__version__,
        summary="A small shop to monitor, load and break.",
        openapi_tags=TAGS,
        lifespan=lifespan,
    )
    install_error_handlers(app)
    app.add_middleware(BodyLimitMiddleware)
    for router in (general, products, orders, simulation):
        app.include_router(router)
    return app


def _build_simulation(config: ShopConfig) -> Simulation:
    return Simulation(
        seed=config.seed,
        worker=config.worker,
        delay_scale=config.delay_scale,
        stock_failure=config.stock_failure,
    )
