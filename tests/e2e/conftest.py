"""A served shop and its Loki, once for the embedded server and once for a real one."""

import sqlite3
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.support.leftovers import end_processes_of, processes_of
from tests.support.loki_http import LokiHttp
from tests.support.processes import RunningProcess, running_apimon

Counts = dict[tuple[str, str, int], int]
"""Requests by method, route and status."""


@dataclass(frozen=True)
class Shop:
    """A served shop: where it is, under which `service` it is recorded, and in which Loki."""

    url: str
    service: str
    loki: LokiHttp
    process: RunningProcess
    db: Path

    def logged(self, pipeline: str = "") -> Counts:
        """Return the request lines in the log by method, endpoint label and status label."""
        by = "sum by (method, endpoint, status_code)"
        query = f'{by} (count_over_time({{service="{self.service}"}} {pipeline} [1h]))'
        return {
            (row["metric"]["method"], row["metric"]["endpoint"], int(row["metric"]["status_code"])): int(
                row["value"][1]
            )
            for row in self.loki.query(query)["result"]
        }

    def orders_in_database(self) -> int:
        with closing(sqlite3.connect(self.db)) as connection:
            (count,) = connection.execute("SELECT count(*) FROM orders").fetchone()
            return int(count)


ServeShop = Callable[..., Shop]
"""Takes a Loki's URL and options of `apimon serve`."""


@pytest.fixture(params=["embedded_loki", pytest.param("real_loki", marks=pytest.mark.loki)], ids=["embedded", "real"])
def loki_url(request: pytest.FixtureRequest) -> str:
    """The URL of either Loki."""
    url: str = request.getfixturevalue(request.param)
    return url


@pytest.fixture
def serve_shop(tmp_path: Path) -> Iterator[ServeShop]:
    """Return a function that serves a shop recorded in the Loki at a URL until the test ends."""
    with ExitStack() as stack:

        def start(loki_url: str, *options: str) -> Shop:
            service, db = f"shop-{uuid.uuid4().hex[:12]}", tmp_path / "shop.db"
            args = ("--port", "0", "--loki", loki_url, "--service", service, "--seed", "1", "--db", str(db), *options)
            process = stack.enter_context(running_apimon("serve", *args))
            process.wait_for("follow them with|logs can't be shipped")
            url = process.wait_for(r"serving (http://\S+)")[1]
            return Shop(url, service, LokiHttp(loki_url), process, db)

        yield start


@pytest.fixture
def shop(loki_url: str, serve_shop: ServeShop) -> Shop:
    """A shop with short delays on either Loki."""
    return serve_shop(loki_url, "--delay-scale", "0.05")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """The test's HOME; what was started with it and not ended is ended, however the test went."""
    yield tmp_path / "home"
    end_processes_of(tmp_path / "home")


def commands_of(home: Path) -> list[str]:
    """Return the command lines that still run with this HOME."""
    lines = []
    for process in processes_of(home):
        try:
            lines.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return lines
