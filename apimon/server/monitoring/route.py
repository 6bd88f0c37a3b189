"""Route templates: which of the app's routes answered, as a bounded name (`/products/{product_id}`).

Read from what routing leaves in the ASGI scope; no route is matched a second time. Starlette and FastAPI leave
different things in different versions:

- `route`: the innermost route, FastAPI's always, Starlette's own in late versions; relative to its mount;
- `fastapi.effective_route_context` (FastAPI ≥ 0.137): the route with the prefixes of the routers that include it, which
  `route` no longer has;
- `root_path` beyond `app_root_path`: the mounts passed on the way, with concrete values in place of their parameters.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from apimon.server.monitoring.asgi import Scope

UNMATCHED = "<unmatched>"
"""The endpoint of a request that no route took."""


class RouteMatch(NamedTuple):
    """References to what routing left in a scope; `template` reads them."""

    route: Any
    context: Any
    """FastAPI's effective route context."""
    endpoint: Any
    router: Any
    mount_path: str
    """The path of the mounts passed, with concrete values; empty outside mounts."""
    path_params: Mapping[str, object]

    @classmethod
    def of(cls, scope: Scope) -> "RouteMatch":
        """Return the match that routing left in `scope`."""
        app_root = scope.get("app_root_path")  # set by mounts only; a deployment's own root_path is not the app's
        fastapi = scope.get("fastapi")
        return cls(
            scope.get("route"),
            fastapi.get("effective_route_context") if isinstance(fastapi, dict) else None,
            scope.get("endpoint"),
            scope.get("router"),
            "" if app_root is None else scope.get("root_path", "")[len(app_root) :],
            scope.get("path_params") or {},
        )

    def template(self) -> str:
        """Return the route template, `/mount/*` for a miss inside a mount, `UNMATCHED` for any other miss."""
        path = self._path_format()
        if not self.mount_path:
            return path or UNMATCHED
        own = path or ""
        prefix = template_mount(self.mount_path, own, self.path_params)
        return prefix + (own or "/*")

    def _path_format(self) -> str | None:
        route, context = self.route, self.context
        if context is not None and (context.original_route is route or not hasattr(route, "path_format")):
            source = context.starlette_route or context
            return _format_of(source)
        if route is not None:
            return None if is_mount(route) else _format_of(route)
        if self.endpoint is None or self.mount_path:
            return None
        return self._search()

    def _search(self) -> str | None:
        # A plain Starlette route under a FastAPI app, such as /docs, leaves only its endpoint.
        for route in getattr(self.router, "routes", ()):
            if getattr(route, "endpoint", None) is self.endpoint:
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
