"""`apimon tail` as a user runs it, against the embedded server."""

import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.loki_http import LokiHttp
from tests.support.lokis import free_port
from tests.support.processes import APIMON, RunningProcess, run_apimon, running, running_apimon


class Tailed:
    """A service of its own on the server, and a tail of it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.service = f"tail-{time.time_ns()}"

    def push(self, *lines: str) -> None:
        values = [[str(time.time_ns()), line] for line in lines]
        assert LokiHttp(self.url).push([({"service": self.service, "level": "info"}, values)]).status == 204

    @contextmanager
    def tail(self, *args: str) -> Iterator[RunningProcess]:
        """Run a tail that is known to be live: the line `mark` has come through."""
        self.push("mark")
        with running_apimon("tail", "--loki", self.url, "--service", self.service, "--output", "raw", *args) as process:
            process.wait_for("^mark$", stream="stdout")
            yield process


@pytest.fixture
def tailed(embedded_loki: str) -> Tailed:
    return Tailed(embedded_loki)


def test_history_comes_first_and_then_each_line_at_once(tailed: Tailed) -> None:
    for number in range(12):
        tailed.push(f"old {number}")
    with tailed.tail("--lines", "3") as process:
        assert process.stdout.splitlines() == ["old 10", "old 11", "mark"]
        tailed.push("live 1")
        process.wait_for("^live 1$", stream="stdout")
        tailed.push("live 2", "live 3")
        assert process.wait_for_lines(6)[3:] == ["live 1", "live 2", "live 3"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_0_and_without_a_word(tailed: Tailed, number: signal.Signals) -> None:
    with tailed.tail() as process:
        assert process.stop(number) == 0
        assert process.stderr == ""


def test_presets_narrow_what_is_followed(tailed: Tailed) -> None:
    with tailed.tail("--grep", "r") as process:
        tailed.push("no", "yes, rather")
        assert process.wait_for_lines(2) == ["mark", "yes, rather"]


def test_jsonl_is_an_object_a_line(tailed: Tailed) -> None:
    tailed.push("mark")
    with running_apimon("tail", "--loki", tailed.url, "--service", tailed.service, "--output", "jsonl") as process:
        (line,) = process.wait_for_lines(1)
    found = json.loads(line)
    assert (found["line"], found["labels"]["service"]) == ("mark", tailed.service)


def test_it_ends_quietly_when_its_reader_has_gone_though_nothing_more_comes(tailed: Tailed) -> None:
    tailed.push("only line")
    command = f"{APIMON[0]} -m apimon tail --loki {tailed.url} --service {tailed.service}"
    with running("bash", "-c", f"{command} | head -1; exit ${{PIPESTATUS[0]}}") as process:
        assert process.wait() == 0
        assert process.stderr == ""
        assert "only line" in process.stdout


def test_it_goes_on_when_loki_comes_back_without_a_gap_or_a_double() -> None:
    port = free_port()
    args = ("--port", str(port))
    with running_apimon("loki", *args) as server:
        server.wait_for("serving")
        tailed = Tailed(f"http://127.0.0.1:{port}")
        with tailed.tail() as process:
            tailed.push("before")
            process.wait_for("^before$", stream="stdout")
            assert server.stop() == 0
            process.wait_for("reconnecting")
            with running_apimon("loki", *args) as again:
                again.wait_for("serving")
                tailed.push("meanwhile")
                process.wait_for("reconnected")
                tailed.push("after")
                process.wait_for("^after$", stream="stdout")
                assert process.stdout.splitlines() == ["mark", "before", "meanwhile", "after"]


def test_a_metric_query_is_a_usage_error() -> None:
    done = run_apimon("tail", 'rate({service="a"}[1m])')
    assert done.returncode == 2
    assert "computes a metric" in done.stderr


def test_a_query_that_does_not_parse_shows_the_place() -> None:
    done = run_apimon("tail", "{service=")
    assert done.returncode == 2
    assert done.stderr.endswith("{service=\n         ^\n")


def test_nothing_but_a_loki_is_followed(embedded_loki: str) -> None:
    done = run_apimon("tail", "--loki", f"{embedded_loki}/elsewhere")
    assert done.returncode == 3
    assert f"no Loki at {embedded_loki}/elsewhere" in done.stderr
