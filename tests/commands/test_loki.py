"""`apimon loki` as a process."""

import json
import signal
import socket
import urllib.request
from pathlib import Path

import pytest

from apimon.errors import ExitCode
from tests.support.processes import running_apimon


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as response:
        body: bytes = response.read()
        return body


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_listens_and_ends_with_0(number: signal.Signals) -> None:
    with running_apimon("loki", "--port", "0", "--memory") as process:
        url = process.wait_for(r"^apimon: serving (http://127\.0\.0\.1:\d+)$")[1]
        assert json.loads(get(f"{url}/loki/api/v1/status/buildinfo"))["version"]
        assert process.stop(number) == ExitCode.OK
        assert process.stdout == ""


def test_the_data_folder_is_the_settings_one_unless_it_is_given(tmp_path: Path) -> None:
    for args, folder in (((), tmp_path / "home" / "data"), (("--data-dir", "logs"), tmp_path / "logs")):
        with running_apimon("loki", "--port", "0", *args) as process:
            process.wait_for("serving")
            assert (folder / "loki" / "store.duckdb").exists()
            assert process.stop() == ExitCode.OK


def test_a_port_in_use_is_one_line_and_exit_1() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with running_apimon("loki", "--port", port, "--memory") as process:
            assert process.wait() == ExitCode.ERROR
            assert process.stderr.startswith(f"error: cannot listen on 127.0.0.1:{port}")
            assert process.stderr.count("\n") == 1


def test_the_second_on_a_folder_names_the_first_and_exits_1() -> None:
    with running_apimon("loki", "--port", "0") as first:
        first.wait_for("serving")
        with running_apimon("loki", "--port", "0") as second:
            assert second.wait() == ExitCode.ERROR
            assert f"is in use by process {first.pid}" in second.stderr
        assert first.stop() == ExitCode.OK


def test_a_corrupt_store_is_one_line_and_exit_1(tmp_path: Path) -> None:
    folder = tmp_path / "logs" / "loki"
    folder.mkdir(parents=True)
    (folder / "store.duckdb").write_bytes(b"no database" * 1000)
    with running_apimon("loki", "--port", "0", "--data-dir", "logs") as process:
        assert process.wait() == ExitCode.ERROR
        assert process.stderr.startswith("error: cannot open the store")
        assert process.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--retention", "soon"), "--retention"),
        (("--retention", "0"), "--retention 0"),
        (("--memory", "--data-dir", "x"), "--memory"),
        (("--port", "70000"), "70000"),
    ],
)
def test_bad_options_are_one_line_and_exit_2(args: tuple[str, ...], words: str) -> None:
    with running_apimon("loki", *args) as process:
        assert process.wait() == ExitCode.USAGE
        assert words in process.stderr
        assert process.stderr.count("\n") == 1
