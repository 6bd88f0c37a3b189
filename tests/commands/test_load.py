"""`apimon load` as people run it: a process of its own, its output, its files, its exit codes."""

import asyncio
import json
import signal
import socket
import sys
import threading
from pathlib import Path

import pytest

from apimon.cli import run
from tests.loadtest.servers import OK, serving_beside, silence, status
from tests.support.processes import run_apimon, running, running_apimon


def test_summary_goes_to_stdout_and_the_report_to_its_file(tmp_path: Path) -> None:
    with serving_beside(OK) as server:
        done = run_apimon("load", server.url, "--users", "4", "--duration", "0.5", "--seed", "7", "--json", "r.json")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("passed: ")
    assert "\x1b" not in done.stdout
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["totals"]["requests"] == report["totals"]["ok"] == len(server.requests) >= 4
    assert (report["seed"], report["users"], report["passed"]) == (7, 4, True)
    assert {request.headers["x-apimon-run"] for request in server.requests} == {report["run_id"]}
    assert [path.name for path in tmp_path.iterdir() if path.name != "home"] == ["r.json"]


def test_report_on_stdout_sends_the_summary_to_stderr() -> None:
    with serving_beside(OK) as server:
        done = run_apimon("load", server.url, "--duration", "0.2", "--json", "-")
    assert json.loads(done.stdout)["schema"] == "apimon.load/1"
    assert done.stderr.startswith("passed: ")


def test_quiet_run_prints_the_report_and_nothing_else() -> None:
    with serving_beside(OK) as server:
        done = run_apimon("load", server.url, "--duration", "0.2", "--json", "-", "--quiet")
    assert json.loads(done.stdout)["passed"] is True
    assert done.stderr == ""


def test_run_without_a_success_exits_1_and_says_why() -> None:
    with serving_beside(status(404)) as server:
        done = run_apimon("load", server.url, "--duration", "0.2", "--json", "r.json")
    assert done.returncode == 1
    assert done.stdout.startswith("failed: none of")
    assert "mostly http_error: 404 Not Found" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert json.loads(Path("r.json").read_text())["passed"] is False


def test_target_that_refuses_exits_3_with_one_line_and_no_file(unused_tcp_port: int, tmp_path: Path) -> None:
    done = run_apimon("load", f"http://127.0.0.1:{unused_tcp_port}", "--json", "r.json")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith(f"error: cannot connect to http://127.0.0.1:{unused_tcp_port}: connection refused")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "r.json").exists()


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (("--users", "0"), "--users 0"),
        (("--users", "x"), "--users"),
        (("--duration", "0"), "--duration 0"),
        (("--duration", "10 parsecs"), "10 parsecs"),
        (("--duration", "-1"), "-1"),
        (("--duration", "100000h"), "--duration 100000h"),
        (("--timeout", "0ms"), "--timeout 0ms"),
        (("--grace", "soon"), "--grace"),
        (("--seed", "1.5"), "--seed"),
        (("--seed", "-1"), "--seed -1"),
        (("--seed", str(1 << 64)), "--seed 18446744073709551616"),
        (("--json", "missing/r.json"), "--json missing/r.json"),
        (("--rate", "5"), "--rate"),
        (("http://127.0.0.1:8000/products",), "/products"),
        (("localhost",), "localhost"),
    ],
)
def test_bad_values_exit_2_with_one_line_that_names_them(
    args: tuple[str, ...], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, (out, err) = run(["load", *args]), capsys.readouterr()
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert named in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_ends_the_run_with_summary_report_and_exit_105(number: signal.Signals, tmp_path: Path) -> None:
    reached = threading.Event()

    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        reached.set()
        return await silence(reader, writer)

    with (
        serving_beside(OK, OK, never) as server,
        running_apimon("load", server.url, "--duration", "1h", "--grace", "1h", "--json", "r.json") as process,
    ):
        assert reached.wait(30)
        assert process.stop(number) == 105
        assert process.stdout.startswith("interrupted after ")
        assert process.stderr == ""
    totals = json.loads((tmp_path / "r.json").read_text())["totals"]
    assert totals["requests"] == totals["ok"] + totals["aborted"] == len(server.requests)
    assert totals["aborted"] >= 1


def test_interrupt_before_the_first_request_exits_130(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        # The handshake never ends: the probe is still on its way.
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        with running_apimon("load", url, "--timeout", "1h", "--json", "r.json") as process:
            connection, _ = listener.accept()
            with connection:
                assert process.stop(signal.SIGINT) == 130
            assert process.stdout == ""
    assert not (tmp_path / "r.json").exists()


STUBBORN = """
import sys, threading
from apimon.loadtest import engine
from apimon.loadtest.plan import LoadPlan
from apimon.loadtest.scenario import Scenario, Task
from apimon.loadtest.target import parse_target

class Run(engine.LoadRun):
    def interrupt(self):
        super().interrupt()
        print("interrupted", file=sys.stderr, flush=True)

async def task(user):
    await user.get("/")
    print("blocked", file=sys.stderr, flush=True)
    threading.Event().wait()

engine.LoadRun = Run
try:
    engine.run_load(LoadPlan(parse_target(sys.argv[1]), Scenario("stubborn", [Task("task", task)]), users=1))
except KeyboardInterrupt:
    sys.exit(130)
"""


def test_second_interrupt_ends_even_a_scenario_that_blocks() -> None:
    with serving_beside(OK) as server, running(sys.executable, "-c", STUBBORN, server.url) as process:
        process.wait_for("blocked")
        process.send(signal.SIGINT)
        process.wait_for("interrupted")
        process.send(signal.SIGINT)
        assert process.wait() == 130


def test_full_disk_is_one_line_after_the_summary() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    with serving_beside(OK) as server:
        done = run_apimon("load", server.url, "--duration", "0.2", "--json", "/dev/full")
    assert done.returncode == 1
    assert done.stdout.startswith("passed: ")
    assert done.stderr.startswith("error: cannot write the report /dev/full: no space left on device")
    assert len(done.stderr.splitlines()) == 1


def test_help_shows_examples_and_only_the_flags_there_are() -> None:
    done = run_apimon("load", "--help")
    assert done.returncode == 0
    assert "apimon load --json - | jq .totals" in done.stdout
    assert "--rate" not in done.stdout
