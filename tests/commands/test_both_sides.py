from collections.abc import Sequence

import pytest

from apimon.commands.both_sides import BothSides, RouteFigures, await_server_side, read_client_side
from apimon.loki.client import AsyncLokiClient
from apimon.loki.model import QueryResult, ResultType, Sample, Series

PRODUCTS = ("GET", "/products")
BUY = ("POST", "/products/{product_id}/purchase")


class FakeLoki(AsyncLokiClient):
    """Answers counting queries with one count after the other, and every quantile with 100 times itself."""

    def __init__(self, counts: Sequence[dict[tuple[str, str], int]]) -> None:
        super().__init__("http://127.0.0.1:1")
        self._counts = iter(counts)
        self._routes = counts[-1]
        self.queries: list[str] = []

    async def query(self, query: str, **_: object) -> QueryResult:
        self.queries.append(query)
        if query.startswith("sum"):
            values = {route: float(count) for route, count in next(self._counts).items()}
        else:
            quantile = float(query.partition("(")[2].partition(",")[0])
            values = dict.fromkeys(self._routes, quantile * 100)
        series = [
            Series({"method": method, "endpoint": endpoint}, [Sample(0, value)])
            for (method, endpoint), value in values.items()
        ]
        return QueryResult(ResultType.VECTOR, series=series)


def test_the_client_s_side_is_read_from_the_report() -> None:
    latency = {"p50": 1.0, "p95": 2.0, "p99": 3.0}
    report = {
        "routes": [
            {"method": "GET", "route": "/products", "requests": 7, "latency_ms": latency},
            {"method": "POST", "route": BUY[1], "requests": 1, "latency_ms": None},
        ]
    }
    assert read_client_side(report) == {
        PRODUCTS: RouteFigures(7, (1.0, 2.0, 3.0)),
        BUY: RouteFigures(1, (None, None, None)),
    }


async def test_the_server_s_side_is_waited_for_until_the_counts_agree() -> None:
    client = FakeLoki([{}, {PRODUCTS: 3}, {PRODUCTS: 5, BUY: 1}])
    expected = {PRODUCTS: RouteFigures(5), BUY: RouteFigures(1)}
    server = await await_server_side(client, service="shop", run_id="run-1", expected=expected, patience_s=60)
    assert server == {PRODUCTS: RouteFigures(5, (50, 95, 99)), BUY: RouteFigures(1, (50, 95, 99))}
    assert all('apimon_run="run-1"' in query and 'service="shop"' in query for query in client.queries)


async def test_counts_that_never_agree_are_returned_as_they_are() -> None:
    client = FakeLoki([{PRODUCTS: 4}])
    server = await await_server_side(
        client, service="shop", run_id="run-1", expected={PRODUCTS: RouteFigures(5)}, patience_s=-1
    )
    assert server[PRODUCTS].requests == 4


@pytest.mark.parametrize(
    ("client", "server", "differences"),
    [
        ({PRODUCTS: 5}, {PRODUCTS: 5}, []),
        ({PRODUCTS: 5}, {PRODUCTS: 4}, ["GET /products: the client counted 5, the server 4"]),
        ({PRODUCTS: 5}, {}, ["GET /products: the client counted 5, the server 0"]),
        ({}, {BUY: 2}, ["POST /products/{product_id}/purchase: the client counted 0, the server 2"]),
    ],
)
def test_each_route_that_differs_is_stated(
    client: dict[tuple[str, str], int], server: dict[tuple[str, str], int], differences: list[str]
) -> None:
    both = BothSides(
        {route: RouteFigures(count) for route, count in client.items()},
        {route: RouteFigures(count) for route, count in server.items()},
    )
    assert both.find_differences() == differences
    assert both.requests == (sum(client.values()), sum(server.values()))


def test_the_table_has_both_sides_of_each_route_aligned() -> None:
    both = BothSides({PRODUCTS: RouteFigures(10, (1.0, 22.25, None))}, {PRODUCTS: RouteFigures(9, (0.5, 2.0, 3.0))})
    assert both.render().splitlines() == [
        "METHOD  ROUTE      SIDE    REQUESTS    P50     P95    P99",
        "GET     /products  client        10  1.0ms  22.2ms      -",
        "GET     /products  server         9  0.5ms   2.0ms  3.0ms",
    ]
