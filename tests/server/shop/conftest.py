"""A shop on a real socket, without delays or shortages unless a test asks for them."""

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvicorn
from fastapi import FastAPI

from apimon.server.runner import listen
from apimon.server.shop import ShopConfig, create_app

RunShop = Callable[..., str]
Setting = Any


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """Serve an ASGI app in a thread of its own and yield its URL."""
    server = uvicorn.Server(uvicorn.Config(app, lifespan="on", log_config=None, log_level="critical"))
    with listen("127.0.0.1", 0) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            # The socket listens already: requests wait in its backlog until the server is up.
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def shop_config(folder: Path, **changes: Setting) -> ShopConfig:
    config = ShopConfig(folder / "shop.db", seed=1, delay_scale=0, stock_failure=0)
    return replace(config, **changes)


@pytest.fixture
def run_shop(tmp_path: Path) -> Iterator[RunShop]:
    """Start shops with changes to the configuration; all are ended with the test."""
    with ExitStack() as stack:
        yield lambda **changes: stack.enter_context(served(create_app(shop_config(tmp_path, **changes))))


@pytest.fixture(scope="module")
def shop_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One shop for the tests of a module that don't count its orders."""
    with served(create_app(shop_config(tmp_path_factory.mktemp("shop")))) as url:
        yield url


@pytest.fixture
async def client(shop_url: str) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of the module's shop."""
    async with aiohttp.ClientSession(shop_url) as session:
        yield session
