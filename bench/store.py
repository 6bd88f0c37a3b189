"""Ingest and four queries on request lines: the embedded server beside a real Loki 3.7.6 in the same run.

    APIMON_TEST_LOKI=$(tests/realloki/build.sh) python -m bench.store [--lines 500000]

Without APIMON_TEST_LOKI the embedded server's own figures are printed, and that the peer is missing.
"""

import argparse
import http.client
import json
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlencode, urlsplit

import psutil

from bench.request_lines import write_pushes
from bench.timing import alone_line, medians, ratio_line, timed
from tests.support.lokis import BENCH_LIMITS, REAL_LOKI_DIR, running_embedded_loki, running_real_loki

EMBEDDED, REAL = "embedded", "Loki"
ROUNDS = 5
QUERIES: dict[str, tuple[str, dict[str, str]]] = {
    "rate by endpoint": ('sum by (endpoint) (rate({service="shop"}[1m]))', {"step": "60"}),
    "JSON 5xx by endpoint": (
        'sum by (endpoint) (rate({service="shop"} | json | status_code >= 500 [1m]))',
        {"step": "60"},
    ),
    "p95 by endpoint": (
        'quantile_over_time(0.95, {service="shop"} | json | unwrap duration_ms [1m]) by (endpoint)',
        {"step": "60"},
    ),
    "latest 100": ('{service="shop"}', {"limit": "100"}),
}


@dataclass
class Server:
    """A running Loki and one kept-alive connection to it."""

    process: psutil.Process
    connection: http.client.HTTPConnection

    def push(self, bodies: IO[bytes], sizes: Sequence[int]) -> None:
        """Push every body, one after the other; raises for any answer but 204."""
        for size in sizes:
            status, text = self._send("POST", "/loki/api/v1/push", bodies.read(size))
            if status != 204:
                raise RuntimeError(f"push answered {status}: {text[:300]!r}")

    def query(self, query: str, params: dict[str, str]) -> Any:  # noqa: ANN401  # whatever JSON holds
        """Return a range query's result; raises for any answer but 200."""
        path = "/loki/api/v1/query_range?" + urlencode({"query": query, **params})
        status, text = self._send("GET", path, None)
        if status != 200:
            raise RuntimeError(f"{query} answered {status}: {text[:300]!r}")
        return json.loads(text)["data"]["result"]

    def _send(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        self.connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        response = self.connection.getresponse()
        return response.status, response.read()


@contextmanager
def running_servers(folder: Path) -> Iterator[dict[str, Server]]:
    """Run the embedded server, and the real one where it is built."""
    with ExitStack() as stack:
        started = {EMBEDDED: stack.enter_context(running_embedded_loki("--data-dir", str(folder / "embedded")))}
        if REAL_LOKI_DIR:
            (folder / "real").mkdir()
            started[REAL] = stack.enter_context(running_real_loki(folder / "real", limits=BENCH_LIMITS))
        servers = {}
        for name, (url, process) in started.items():
            connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=120)
            stack.callback(connection.close)
            servers[name] = Server(psutil.Process(process.pid), connection)
        yield servers


def compare(what: str, figures: dict[str, float], unit: str) -> None:
    """Print one comparison, or the one figure that there is."""
    if REAL in figures:
        print(ratio_line(what, figures[EMBEDDED], figures[REAL], peer_name="Loki 3.7.6", unit=unit))
    else:
        print(alone_line(what, figures[EMBEDDED], unit=unit))


def measure_ingest(servers: dict[str, Server], lines: int, end_ns: int, folder: Path) -> None:
    """Push the same bodies to every server and print lines per second."""
    with (folder / "pushes").open("wb") as file:
        sizes = write_pushes(file, lines, end_ns=end_ns)
    rates = {}
    for name, server in servers.items():
        with (folder / "pushes").open("rb") as bodies:
            rates[name] = lines / timed(lambda server=server, bodies=bodies: server.push(bodies, sizes))()  # type: ignore[misc]  # mypy can't infer a lambda with defaults
    compare(f"ingest, 1 pusher, {lines} lines", rates, "lines/s")


def measure_queries(servers: dict[str, Server], end_ns: int) -> None:
    """Run each query by turns and print its median time; says so where the answers differ."""
    span = {"start": str(end_ns - 3600 * 1_000_000_000), "end": str(end_ns)}
    for what, (query, params) in QUERIES.items():
        answers = {name: server.query(query, {**params, **span}) for name, server in servers.items()}
        if len({fingerprint(answer) for answer in answers.values()}) > 1:
            print(f"{what}: the answers differ")
        contenders = {name: timed(_asking(server, query, {**params, **span})) for name, server in servers.items()}
        compare(what, medians(contenders, ROUNDS), "s")


def _asking(server: Server, query: str, params: dict[str, str]) -> Callable[[], object]:
    return lambda: server.query(query, params)


def fingerprint(result: Any) -> tuple[int, str]:  # noqa: ANN401  # whatever JSON holds
    """Return what two equal answers share: how many series or entries, and the sum of a metric's values."""
    if result and "stream" in result[0]:
        return sum(len(stream["values"]) for stream in result), ""
    return len(result), f"{math.fsum(float(value) for series in result for _, value in series['values']):.9g}"


def main() -> None:
    """Fill the servers, ask them, print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=500_000)
    lines = parser.parse_args().lines
    if not REAL_LOKI_DIR:
        print("no real Loki to compare with: set APIMON_TEST_LOKI=$(tests/realloki/build.sh)")
    with tempfile.TemporaryDirectory() as name, running_servers(Path(name)) as servers:
        end_ns = time.time_ns()
        measure_ingest(servers, lines, end_ns, Path(name))
        measure_queries(servers, end_ns)
        compare("memory after them", {who: s.process.memory_info().rss / 1e6 for who, s in servers.items()}, "MB")


if __name__ == "__main__":
    main()
