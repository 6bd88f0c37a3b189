import asyncio
import signal
import socket
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import aiohttp
import pytest
from fastapi import FastAPI

from apimon.config import Settings
from apimon.server.monitoring import LokiMonitoringMiddleware
from apimon.server.runner import ServeError, listen
from apimon.server.shop.store import ShopStore
from apimon.server.worker import wrap_app
from apimon.server.worker_number import claim_number
from tests.support.lokis import listening_url
from tests.support.processes import RunningProcess, running_apimon

QUIET = ("--no-loki", "--port", "0", "--delay-scale", "0", "--stock-failure", "0")


@contextmanager
def running_shop(tmp_path: Path, *args: str) -> Iterator[tuple[str, RunningProcess]]:
    with running_apimon("serve", *QUIET, "--db", str(tmp_path / "shop.db"), *args) as process:
        yield listening_url(process), process


def can_connect(url: str) -> bool:
    host, _, port = url.removeprefix("http://").partition(":")
    try:
        socket.create_connection((host, int(port)), 5).close()
    except ConnectionRefusedError:
        return False
    return True


def test_port_0_takes_a_free_one() -> None:
    with listen("127.0.0.1", 0) as first, listen("127.0.0.1", 0) as second:
        assert first.getsockname()[1] != second.getsockname()[1]


def test_of_two_listeners_on_a_port_the_second_is_told() -> None:
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(ServeError, match=f"127\\.0\\.0\\.1 port {port}: Address already in use; .*--port"):
            listen("127.0.0.1", port)


def test_an_ipv6_address_is_listened_on() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    with listen("::1", 0) as listener:
        assert listener.family == socket.AF_INET6


def test_a_host_that_is_not_ours_is_told_to_be_another_host() -> None:
    with pytest.raises(ServeError, match=r"192\.0\.2\.1 port 0: .*--host"):
        listen("192.0.2.1", 0)


def test_recording_off_leaves_the_app_as_it_is() -> None:
    app = FastAPI()
    assert wrap_app(app, Settings(enabled=False)) is app
    assert isinstance(wrap_app(app, Settings()), LokiMonitoringMiddleware)


_CLAIM = """
import pathlib, sys
from apimon.server.worker_number import claim_number
print(claim_number(pathlib.Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""


def test_a_new_worker_takes_the_number_of_a_dead_one(tmp_path: Path) -> None:
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", _CLAIM, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    numbers = {}
    for worker in workers:
        assert worker.stdout is not None
        numbers[int(worker.stdout.readline())] = worker
    assert set(numbers) == {0, 1}
    numbers[0].kill()
    numbers[0].communicate()
    assert claim_number(tmp_path) == 0
    numbers[1].communicate("")


@pytest.mark.parametrize(("workers", "stop"), [("1", signal.SIGINT), ("2", signal.SIGTERM)])
def test_serve_ends_well_and_lets_a_request_finish(tmp_path: Path, workers: str, stop: signal.Signals) -> None:
    with running_shop(tmp_path, "--workers", workers, "--delay-scale", "0.3") as (url, process):
        with urllib.request.urlopen(f"{url}/health", timeout=30):
            pass  # up
        with closing(socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), 30)) as slow:
            slow.sendall(b"GET /slow-endpoint HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")
            with urllib.request.urlopen(f"{url}/health", timeout=30):
                pass  # the slow request has been read: it came first
            code = process.stop(stop)
            assert slow.recv(100).startswith(b"HTTP/1.1 200")
        assert code == 0
        assert "Traceback" not in process.stderr
        assert not can_connect(url)


def test_a_port_in_use_costs_nothing(tmp_path: Path) -> None:
    with listen("127.0.0.1", 0) as taken:
        port = str(taken.getsockname()[1])
        db = tmp_path / "never.db"
        with running_apimon("serve", "--no-loki", "--port", port, "--db", str(db)) as process:
            assert process.wait() == 1
        assert process.stderr.startswith(f"error: can't listen on 127.0.0.1 port {port}: ")
        assert process.stderr.count("\n") == 1
    assert not db.exists()


def test_a_database_that_can_t_be_used_is_one_line(tmp_path: Path) -> None:
    with running_apimon("serve", *QUIET, "--db", str(tmp_path)) as process:
        assert process.wait() == 1
    assert process.stderr == (
        f"error: the shop's database {tmp_path} can't be used: unable to open database file; "
        "name another file with --db\n"
    )


def test_an_unhandled_exception_is_one_line_without_debug(tmp_path: Path) -> None:
    with running_shop(tmp_path) as (url, process):
        with pytest.raises(urllib.error.HTTPError, match="500"):
            urllib.request.urlopen(f"{url}/simulate-error", data=b"", timeout=30)
        process.wait_for("^apimon: .*SimulatedFailureError: a simulated failure.*$")
        assert process.stop() == 0
    assert "Traceback" not in process.stderr


class Buyers:
    """Clients that buy until they are refused, and remember every purchase that was answered."""

    def __init__(self, url: str, enough: int) -> None:
        self.order_ids: list[int] = []
        self.have_enough = asyncio.Event()
        self._enough = enough
        self._tasks = [asyncio.create_task(self._buy(url)) for _ in range(8)]

    async def end(self) -> None:
        await asyncio.gather(*self._tasks)

    async def _buy(self, url: str) -> None:
        async with aiohttp.ClientSession(url) as client:
            while True:
                try:
                    async with client.post("/products/1/purchase", json={"quantity": 1}) as answer:
                        receipt = await answer.json()
                except (aiohttp.ClientError, OSError):
                    return
                assert answer.status == 200
                self.order_ids.append(receipt["order_id"])
                if len(self.order_ids) >= self._enough:
                    self.have_enough.set()


async def test_kill_9_loses_no_purchase_that_was_answered(tmp_path: Path) -> None:
    with running_shop(tmp_path, "--workers", "2") as (url, process):
        buyers = Buyers(url, enough=200)
        await buyers.have_enough.wait()
        process.send(signal.SIGKILL)
        # Workers follow their supervisor, so nobody is left to sell.
        await buyers.end()
        process.wait()
    with ShopStore(tmp_path / "shop.db") as store:
        stored = {order.id for order in store.list_orders(before=None, limit=10**9)}
    assert set(buyers.order_ids) <= stored
    assert len(buyers.order_ids) == len(set(buyers.order_ids))
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
