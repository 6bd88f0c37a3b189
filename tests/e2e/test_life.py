"""Starting, ending and dying: of a Loki that starts itself, of one that is killed, of the demo."""

import asyncio
import json
import os
import signal
from pathlib import Path

import aiohttp
import pytest

from tests.e2e.conftest import ServeShop, commands_of
from tests.support.leftovers import end_processes_of, processes_of
from tests.support.lokis import free_port, running_embedded_loki
from tests.support.processes import run_apimon, running_apimon
from tests.support.waiting import wait_until_equal


async def _get(url: str, count: int) -> list[int]:
    async with aiohttp.ClientSession() as session:
        statuses = []
        for _ in range(count):
            async with session.get(url) as answer:
                await answer.read()
                statuses.append(answer.status)
        return statuses


def _lines(loki_url: str, *options: str) -> list[dict[str, object]]:
    done = run_apimon("query", "--loki", loki_url, "--limit", "0", "--output", "jsonl", *options)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_logs_stay_readable_when_everything_has_ended(home: Path) -> None:
    loki_url = f"http://127.0.0.1:{free_port()}"
    with running_apimon("serve", "--port", "0", "--loki", loki_url, "--delay-scale", "0") as serve:
        url = serve.wait_for(r"serving (http://\S+)")[1]
        asyncio.run(_get(f"{url}/products/999", 5))
        assert serve.stop(signal.SIGINT) == 0
    assert serve.stdout == ""
    assert len(_lines(loki_url, "--status", "4xx")) == 5
    # Killed instead of ended: what was acknowledged is on disk, and the next reader starts another server.
    for process in processes_of(home):
        process.kill()
        process.wait(10)
    assert len(_lines(loki_url, "--status", "4xx")) == 5


def test_ctrl_c_at_a_terminal_does_not_reach_the_loki_behind_it(home: Path) -> None:
    loki_url = f"http://127.0.0.1:{free_port()}"
    with running_apimon("serve", "--port", "0", "--loki", loki_url) as serve:
        serve.wait_for(r"serving (http://\S+)")
        (loki,) = [process for process in processes_of(home) if "apimon.loki.embedded" in process.cmdline()]
        # A terminal sends Ctrl-C to every process of the group in its foreground.
        assert os.getsid(loki.pid) != os.getsid(serve.pid)


def test_without_loki_the_app_runs_and_nothing_is_started(home: Path) -> None:
    loki_url = f"http://127.0.0.1:{free_port()}"
    env = {"LOKI_ENABLED": "false", "LOKI_URL": loki_url}
    with running_apimon("serve", "--port", "0", env=env) as serve:
        url = serve.wait_for(r"serving (http://\S+)")[1]
        assert asyncio.run(_get(f"{url}/health", 3)) == [200, 200, 200]
        assert [line for line in commands_of(home) if "embedded" in line] == []
        assert serve.stop() == 0


def test_a_loki_killed_in_the_middle_costs_no_request_and_no_line(serve_shop: ServeShop, tmp_path: Path) -> None:
    options = ("--port", str(free_port()), "--data-dir", str(tmp_path / "logs"))
    with running_embedded_loki(*options) as (loki_url, loki):
        shop = serve_shop(loki_url, "--delay-scale", "0")
        assert set(asyncio.run(_get(f"{shop.url}/health", 100))) == {200}
        loki.send(signal.SIGKILL)
        loki.wait()
        assert set(asyncio.run(_get(f"{shop.url}/health", 100))) == {200}
    with running_embedded_loki(*options):
        assert set(asyncio.run(_get(f"{shop.url}/health", 100))) == {200}
        wait_until_equal(shop.logged, {("GET", "/health", 200): 300}, timeout_s=30)
        assert shop.process.stop() == 0


def test_a_loki_away_is_said_once_and_serving_goes_on(serve_shop: ServeShop) -> None:
    shop = serve_shop("http://loki.invalid:3100", "--delay-scale", "0")
    assert asyncio.run(_get(f"{shop.url}/health", 3)) == [200, 200, 200]
    assert shop.process.stderr.count("loki.invalid") == 1, shop.process.stderr


@pytest.mark.parametrize("loki", ["none", pytest.param("real", marks=pytest.mark.loki)])
def test_demo_agrees_with_itself_and_leaves_nothing_behind(
    loki: str, home: Path, request: pytest.FixtureRequest
) -> None:
    options = ("--loki", request.getfixturevalue("real_loki")) if loki == "real" else ()
    done = run_apimon("demo", "--once", *options, timeout_s=90)
    assert done.returncode == 0, done.stderr
    assert "/products/{product_id}" in done.stdout
    assert commands_of(home) == []


def test_two_commands_that_start_at_once_share_one_loki(home: Path) -> None:
    loki_url = f"http://127.0.0.1:{free_port()}"
    with (
        running_apimon("tail", "--loki", loki_url) as one,
        running_apimon("tail", "--loki", loki_url) as other,
        running_apimon("query", "--loki", loki_url) as query,
    ):
        assert query.wait() == 0, query.stderr
        # Both may have started one; the one that came too late ends by itself.
        wait_until_equal(lambda: len([line for line in commands_of(home) if "apimon.loki.embedded" in line]), 1)
        assert one.stop() == 0, one.stderr
        assert other.stop() == 0, other.stderr
    end_processes_of(home)
