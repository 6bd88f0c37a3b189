import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from apimon.cli import run
from apimon.commands.children import ChildError, Children
from apimon.commands.demonstration import _environment as environment
from apimon.config import LokiSettings, Settings
from tests.support.processes import RunningProcess, running

# The demo as it is, but for its pace.
QUICK = """
import pathlib, sys
from apimon.commands.demonstration import Demonstration
from apimon.errors import ApimonError
demonstration = Demonstration(
    pathlib.Path(sys.argv[1]), None, once=sys.argv[2] == "once", duration="1s", delay_scale=0.05
)
try:
    sys.exit(demonstration.run())
except ApimonError as exc:
    sys.exit(f"error: {exc}")
"""


@contextmanager
def quick_demo(folder: Path, mode: str = "once") -> Iterator[RunningProcess]:
    with running(sys.executable, "-c", QUICK, str(folder), mode) as process:
        yield process


def family(process: RunningProcess) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def find(processes: list[psutil.Process], command: str) -> psutil.Process:
    return next(process for process in processes if command in process.cmdline()[1:4])


def all_gone(processes: list[psutil.Process]) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=30)
    return not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize(("stop", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_nothing_is_left_of_a_demo_that_was_stopped(tmp_path: Path, stop: signal.Signals, code: int) -> None:
    with quick_demo(tmp_path) as process:
        process.wait_for("logs go to")
        started = family(process)
        assert process.stop(stop) == code
        assert "Traceback" not in process.stderr
        assert all_gone(started)


def test_a_server_that_is_killed_ends_the_demo_with_its_name(tmp_path: Path) -> None:
    with quick_demo(tmp_path) as process:
        process.wait_for("every endpoint once")
        started = family(process)
        find(started, "serve").kill()
        assert process.wait() == 1
    assert process.stderr.splitlines()[-1].startswith("error: 'apimon serve' ended in the middle, exit code -9: ")
    assert all_gone(started)


def test_after_the_figures_the_logs_are_followed_until_the_end(tmp_path: Path) -> None:
    with quick_demo(tmp_path, "follow") as process:
        process.wait_for("its logs: apimon tail")
        process.wait_for(r"^20\S+ \S+ info +200 (GET|POST) +/", stream="stdout")
        started = family(process)
        assert process.stop(signal.SIGTERM) == 0
        assert all_gone(started)
    assert "12 of 12 calls answered as expected" in process.stdout
    assert re.search(r"^both sides counted \d+ requests in \d routes$", process.stdout, re.MULTILINE)


def test_a_loki_that_is_not_there_exits_3(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", "--once", "--loki", "http://loki.invalid:3100"]) == 3
    printed = capsys.readouterr()
    assert printed.err.startswith("error: no Loki at http://loki.invalid:3100: ")
    assert printed.err.count("\n") == 1


async def test_a_server_that_can_t_start_says_why(tmp_path: Path) -> None:
    async with Children(tmp_path, environment(None, tmp_path)) as children:
        with pytest.raises(ChildError, match=r"^'apimon serve' ended in the middle, exit code 1: .*--host$"):
            await children.serve("serve", "--no-loki", "--host", "192.0.2.1")


def test_the_commands_see_none_of_the_user_s_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("LOKI_URL", "LOKI_PASSWORD", "APIMON_SAMPLE", "SERVICE_NAME", "ENVIRONMENT"):
        monkeypatch.setenv(name, "theirs")
    assert "theirs" not in environment(None, tmp_path).values()


def test_the_commands_see_the_credentials_of_a_given_loki(tmp_path: Path) -> None:
    seen = environment(
        Settings(loki=LokiSettings(url="http://loki", bearer_token="secret", ca_cert_path="ca.pem")), tmp_path
    )
    assert seen["LOKI_BEARER_TOKEN"] == "secret"
    assert seen["LOKI_CA_CERT_PATH"] == str(tmp_path / "ca.pem")
    assert "LOKI_USERNAME" not in seen
