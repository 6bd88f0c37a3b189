"""A load run as its client saw it and as the server recorded it, per route.

The client's figures are those of an `apimon.load/1` report, the server's are computed from the logs by Loki.
"""

import asyncio
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from apimon.loki.client import AsyncLokiClient
from apimon.loki.presets import Presets, build_query

Route = tuple[str, str]
"""Method and route template."""

QUANTILES = (0.5, 0.95, 0.99)

_POLL_S = 0.2


@dataclass(frozen=True)
class RouteFigures:
    """One route from one side: how many requests, and the latencies of QUANTILES in milliseconds."""

    requests: int
    latencies_ms: tuple[float | None, ...] = (None,) * len(QUANTILES)


Side = Mapping[Route, RouteFigures]


@dataclass(frozen=True)
class BothSides:
    """The figures of both sides of one run."""

    client: Side
    server: Side

    @property
    def requests(self) -> tuple[int, int]:
        """How many requests the client sent and the server recorded."""
        return _count(self.client), _count(self.server)

    def find_differences(self) -> list[str]:
        """Return a line for each route whose counts differ, in words."""
        return [
            f"{method} {route}: the client counted {client}, the server {server}"
            for method, route, client, server in self._compare_counts()
            if client != server
        ]

    def render(self) -> str:
        """Return the table for a person, lines without an end of line after the last."""
        rows = [("METHOD", "ROUTE", "SIDE", "REQUESTS", *(f"P{round(q * 100)}" for q in QUANTILES))]
        for route in self._routes():
            for name, side in (("client", self.client), ("server", self.server)):
                rows.append((*route, name, *_cells(side.get(route, RouteFigures(0)))))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(_align(row, widths) for row in rows)

    def _routes(self) -> list[Route]:
        return sorted({*self.client, *self.server}, key=lambda route: (route[1], route[0]))

    def _compare_counts(self) -> Iterator[tuple[str, str, int, int]]:
        nothing = RouteFigures(0)
        for route in self._routes():
            yield *route, self.client.get(route, nothing).requests, self.server.get(route, nothing).requests


def read_client_side(report: Mapping[str, Any]) -> Side:
    """Return the client's figures from a report in the form of `apimon.load/1`."""
    return {(route["method"], route["route"]): _client_figures(route) for route in report["routes"]}


async def await_server_side(
    client: AsyncLokiClient, *, service: str, run_id: str, expected: Side, patience_s: float
) -> Side:
    """Return the server's figures once their counts are those `expected`, or as they are after `patience_s`.

    Records reach Loki a moment after the answers they are about.
    """
    selection = build_query(Presets(service=service, run=run_id))
    wanted = {route: figures.requests for route, figures in expected.items()}
    deadline_s = time.monotonic() + patience_s
    while True:
        counts = {route: round(value) for route, value in (await _compute(client, _counting(selection))).items()}
        if counts == wanted or time.monotonic() > deadline_s:
            break
        await asyncio.sleep(_POLL_S)
    latencies = [await _compute(client, _measuring(selection, quantile)) for quantile in QUANTILES]
    return {
        route: RouteFigures(count, tuple(by_route.get(route) for by_route in latencies))
        for route, count in counts.items()
    }


def _counting(selection: str) -> str:
    return f"sum by (method, endpoint) (count_over_time({selection} [1h]))"


def _measuring(selection: str, quantile: float) -> str:
    pipeline = f'{selection} | json duration_ms="duration_ms" | unwrap duration_ms'
    return f"quantile_over_time({quantile}, {pipeline} [1h]) by (method, endpoint)"


async def _compute(client: AsyncLokiClient, query: str) -> dict[Route, float]:
    result = await client.query(query)
    return {
        (series.labels.get("method", ""), series.labels.get("endpoint", "")): series.samples[0].value
        for series in result.series
    }


def _client_figures(route: Mapping[str, Any]) -> RouteFigures:
    latency = route["latency_ms"] or {}
    return RouteFigures(route["requests"], tuple(latency.get(f"p{round(quantile * 100)}") for quantile in QUANTILES))


def _count(side: Side) -> int:
    return sum(figures.requests for figures in side.values())


def _cells(figures: RouteFigures) -> tuple[str, ...]:
    return (str(figures.requests), *("-" if value is None else f"{value:.1f}ms" for value in figures.latencies_ms))


def _align(row: tuple[str, ...], widths: list[int]) -> str:
    words = [cell.ljust(width) for cell, width in zip(row[:3], widths[:3], strict=True)]
    numbers = [cell.rjust(width) for cell, width in zip(row[3:], widths[3:], strict=True)]
    return "  ".join(words + numbers)
