"""A real logcli on the embedded server."""

import os
import subprocess
import time

import pytest

from tests.support.loki_http import LokiHttp
from tests.support.lokis import real_loki_binary
from tests.support.processes import running

pytestmark = pytest.mark.loki


@pytest.fixture(scope="module")
def filled(embedded_loki: str) -> str:
    """The embedded server with a few lines of logcli's own."""
    now = time.time_ns()
    values = [[str(now - number * 1_000_000_000), f"line {number}"] for number in range(50, 0, -1)]
    assert LokiHttp(embedded_loki).push([({"app": "logcli", "n": "1"}, values)]).status == 204
    return embedded_loki


def logcli(url: str, *args: str) -> str:
    done = subprocess.run(
        [real_loki_binary("logcli"), f"--addr={url}", "--quiet", *args], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_logcli_queries_all_lines_in_batches(filled: str) -> None:
    out = logcli(filled, "query", '{app="logcli"}', "--limit=100", "--batch=7", "--forward", "--output=raw")
    assert out.splitlines() == [f"line {number}" for number in range(50, 0, -1)]


def test_logcli_filters_and_prints_labels(filled: str) -> None:
    out = logcli(filled, "query", '{app="logcli"} |= "line 7"', "--output=default")
    assert out.count("\n") == 1
    assert "line 7" in out


def test_logcli_computes_metrics(filled: str) -> None:
    assert '"50"' in logcli(filled, "instant-query", 'sum(count_over_time({app="logcli"}[1h]))')
    assert '"values"' in logcli(filled, "query", 'sum(count_over_time({app="logcli"}[1m]))', "--step=60s")


def test_logcli_lists_labels_and_series(filled: str) -> None:
    assert {"app", "n", "service_name"} <= set(logcli(filled, "labels").split())
    assert "logcli" in logcli(filled, "labels", "app").split()
    assert logcli(filled, "series", '{app="logcli"}').strip() == '{app="logcli", n="1", service_name="logcli"}'


def test_logcli_follows(filled: str) -> None:
    command = (real_loki_binary("logcli"), f"--addr={filled}", "query", '{app="logcli-tail"}', "--tail", "--output=raw")
    with running(*command, env={"HOME": os.environ["HOME"]}) as tail:
        tail.wait_for("Connecting|/tail")
        for number in range(3):
            LokiHttp(filled).push([({"app": "logcli-tail"}, [[str(time.time_ns()), f"live {number}"]])])
        lines = tail.wait_for_lines(3)
    assert lines == ["live 0", "live 1", "live 2"]
