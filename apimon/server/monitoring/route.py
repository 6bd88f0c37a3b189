"""Route templates: which of the app's routes answered, as a bounded name (`/products/{product_id}`).

Read from what routing leaves in the ASGI scope; no route is matched a second time. Starlette and FastAPI leave
different things in different versions:

- `route`: the innermost route, FastAPI's always, Starlette's own in late versions; relative to its mount;
- `fastapi.effective_route_context` (FastAPI ≥ 0.137): the route with the prefixes of the routers that include it, which
  `route` no longer has;
- `root_path` beyond `app_root_path`: the mounts passed on the way, with concrete values in place of their parameters.
"""

from collections.abc import Mapping
from typing import Any

from apimon.server.monitoring.asgi import Scope

UNMATCHED = "<unmatched>"
"""The endpoint of a request that no route took."""


RouteTraces = tuple[Any, Any, Any, Any, str | None, str, Mapping[str, object] | None]
"""What `note_route` took from a scope; a plain tuple, since it is made for every request."""


def note_route(scope: Scope) -> RouteTraces:
    """Take references to what routing left in `scope`, for `RouteMatch` to read later."""
    get = scope.get
    return (
        get("route"), get("fastapi"), get("endpoint"), get("router"),
        get("app_root_path"), get("root_path", ""), get("path_params"),
    )  # fmt: skip


class RouteMatch:
    """Which route a request took, read from its traces."""

    __slots__ = ("_context", "_endpoint", "_mount_path", "_params", "_route", "_router")

    def __init__(self, traces: RouteTraces) -> None:
        self._route, fastapi, self._endpoint, self._router, app_root, root, params = traces
        self._context = fastapi.get("effective_route_context") if isinstance(fastapi, dict) else None
        # Mounts alone set app_root_path; the root_path of a deployment is no part of the app.
        self._mount_path = "" if app_root is None else root[len(app_root) :]
        self._params = params or {}

    def template(self) -> str:
        """Return the route template, `/mount/*` for a miss inside a mount, `UNMATCHED` for any other miss."""
        path = self._path_format()
        if not self._mount_path:
            return path or UNMATCHED
        own = path or ""
        return template_mount(self._mount_path, own, self._params) + (own or "/*")

    def _path_format(self) -> str | None:
        route, context = self._route, self._context
        if context is not None and (context.original_route is route or not hasattr(route, "path_format")):
            source = context.starlette_route or context
            return _format_of(source)
        if route is not None:
            return None if is_mount(route) else _format_of(route)
        if self._endpoint is None or self._mount_path:
            return None
        return self._search()

    def _search(self) -> str | None:
        # A plain Starlette route under a FastAPI app, such as /docs, leaves only its endpoint.
        for route in getattr(self._router, "routes", ()):
            if getattr(route, "endpoint", None) is self._endpoint:
                return _format_of(route)
        return None


def template_mount(path: str, own: str, params: Mapping[str, object]) -> str:
    """Return a mount's path with `{name}` for each parameter value that is not of the route's `own` template.

    Where a value can't be found again the whole path is written as its parameters: bounded, whatever it held.
    """
    names = [name for name in params if f"{{{name}}}" not in own]
    if not names:
        return path
    segments = path.split("/")
    position = 0
    for name in names:
        try:
            position = segments.index(str(params[name]), position)
        except ValueError:
            return "".join(f"/{{{name}}}" for name in names)
        segments[position] = f"{{{name}}}"
        position += 1
    return "/".join(segments)


def is_mount(route: object) -> bool:
    """Whether `route` hands on to another app, and so has no template of its own."""
    return not hasattr(route, "endpoint")


def _format_of(route: object) -> str | None:
    path = getattr(route, "path_format", None)
    return path if isinstance(path, str) else None
