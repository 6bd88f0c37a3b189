"""Route templates on the installed FastAPI and Starlette: bounded names, with every prefix and no concrete value."""

import warnings

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, Router

from apimon.server.monitoring.asgi import ASGIApp
from apimon.server.monitoring.route import UNMATCHED, template_mount
from tests.server.monitoring.monitoring_support import MemoryLoki, call, drain, monitor


async def endpoint_of(app: ASGIApp, path: str, method: str = "GET", root_path: str = "") -> str:
    loki = MemoryLoki()
    monitored = monitor(app, loki)
    await call(monitored, path, method=method, root_path=root_path)
    await drain(monitored)
    return loki.record().labels["endpoint"]


async def plain(_request: Request) -> PlainTextResponse:
    return PlainTextResponse("ok")


async def item(item_id: str) -> str:
    return item_id


def nested_routers() -> FastAPI:
    inner, outer, app = APIRouter(prefix="/inner/{a}"), APIRouter(prefix="/outer"), FastAPI()
    inner.get("/items/{item_id}")(item)
    inner.add_route("/plain/{name}", plain)
    outer.include_router(inner, prefix="/mid")
    app.include_router(outer, prefix="/api")
    app.get("/items/{item_id}")(item)
    return app


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/items/7", "/items/{item_id}"),
        ("/api/outer/mid/inner/x/items/7", "/api/outer/mid/inner/{a}/items/{item_id}"),
        ("/api/outer/mid/plain/y", "/api/outer/mid/plain/{name}"),
        ("/docs", "/docs"),
        ("/api/outer/nothing", UNMATCHED),
        ("/items/7/", UNMATCHED),
        ("/", UNMATCHED),
    ],
)
async def test_fastapi_with_nested_routers(path: str, template: str) -> None:
    assert await endpoint_of(nested_routers(), path) == template


async def test_wrong_method_is_of_the_route_it_missed() -> None:
    assert await endpoint_of(nested_routers(), "/items/7", method="DELETE") == "/items/{item_id}"


async def test_invalid_parameter_is_of_the_route() -> None:
    app = FastAPI()

    @app.get("/numbers/{number}")
    async def number(number: int) -> int:
        return number

    assert await endpoint_of(app, "/numbers/x") == "/numbers/{number}"


def mounted() -> FastAPI:
    inner, app, tenant = FastAPI(), FastAPI(), FastAPI()
    inner.get("/items/{item_id}")(item)
    tenant.mount("/inner", inner)
    tenant.get("/own/{item_id}")(item)
    app.mount("/sub", inner)
    app.mount("/{tenant}", tenant)
    return app


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/sub/items/7", "/sub/items/{item_id}"),
        ("/sub/missing/7", "/sub/*"),
        ("/sub/docs", "/sub/*"),
        ("/acme/own/7", "/{tenant}/own/{item_id}"),
        ("/acme/own/acme", "/{tenant}/own/{item_id}"),
        ("/acme/inner/items/7", "/{tenant}/inner/items/{item_id}"),
        ("/inner/inner/items/7", "/{tenant}/inner/items/{item_id}"),
        ("/acme/inner/missing", "/{tenant}/inner/*"),
        ("/acme/missing", "/{tenant}/*"),
    ],
)
async def test_mounts_leave_no_concrete_value(path: str, template: str) -> None:
    assert await endpoint_of(mounted(), path) == template


async def test_root_path_of_the_server_or_the_app_is_no_part_of_the_template() -> None:
    assert await endpoint_of(nested_routers(), "/prefix/items/7", root_path="/prefix") == "/items/{item_id}"
    assert await endpoint_of(mounted(), "/prefix/sub/items/7", root_path="/prefix") == "/sub/items/{item_id}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # late versions want it from the server
        app = FastAPI(root_path="/prefix")
    app.get("/items/{item_id}")(item)
    assert await endpoint_of(app, "/items/7") == "/items/{item_id}"


@pytest.mark.parametrize(
    ("path", "template"),
    [("/plain/x", "/plain/{name}"), ("/sub/plain/x", "/sub/plain/{name}"), ("/sub/no", "/sub/*"), ("/no", UNMATCHED)],
)
async def test_starlette_alone(path: str, template: str) -> None:
    routes = [Route("/plain/{name}", plain)]
    assert await endpoint_of(Starlette(routes=[*routes, Mount("/sub", Router(routes))]), path) == template


@pytest.mark.parametrize(
    ("path", "own", "params", "expected"),
    [
        ("/a", "/x", {}, "/a"),
        ("/a/5", "/x/{id}", {"n": 5, "id": "5"}, "/a/{n}"),
        ("/x/y/x", "", {"one": "x", "two": "x"}, "/{one}/y/{two}"),
        ("/1.50", "", {"price": 1.5}, "/{price}"),
        ("/a/b/c/d", "", {"rest": "b/c/d"}, "/{rest}"),
    ],
)
def test_mount_path_gets_its_parameters_back(path: str, own: str, params: dict[str, object], expected: str) -> None:
    assert template_mount(path, own, params) == expected
