"""Bad input to whole commands: one line on stderr, nothing on stdout, the exit code of the contract."""

import http.server
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from apimon import cli
from tests.support.leftovers import processes_of
from tests.support.loki_http import LokiHttp
from tests.support.lokis import free_port, running_embedded_loki
from tests.support.processes import run_apimon

RunHere = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port on which somebody else listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def web_server() -> Iterator[str]:
    """The URL of an HTTP server that is no Loki."""
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def run_here(capsys: pytest.CaptureFixture[str]) -> RunHere:
    """Return a function that runs a command line in this process, which is quicker: for what starts nothing."""

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        code = cli.run(args)
        shown = capsys.readouterr()
        return subprocess.CompletedProcess(args, code, shown.out, shown.err)

    return run


def assert_refused(done: subprocess.CompletedProcess[str], code: int, *words: str, lines: int = 1) -> None:
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("error: "), done.stderr
    assert len(done.stderr.splitlines()) == lines, done.stderr
    assert all(word in done.stderr for word in words), done.stderr


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["query", "--since", "soon"], ["--since", "soon"]),
        (["query", "--limit", "-1"], ["-1"]),
        (["query", "--limit", "many"], ["many"]),
        (["query", "--output", "xml"], ["xml"]),
        (["query", "--status", "6xx"], ["6xx"]),
        (["query", "--status", "abc"], ["abc"]),
        (["query", 'rate({a="b"}[1m])', "--status", "5xx"], []),
        (["query", "--loki", "nonsense"], ["nonsense"]),
        (["query", "one", "two"], []),
        (["tail", "--lines", "-1"], ["-1"]),
        (["tail", 'rate({a="b"}[1m])'], []),
        (["load", "--users", "0"], ["0"]),
        (["load", "--users", "x"], ["x"]),
        (["load", "--duration", "-1s"], ["-1s"]),
        (["load", "--duration", "0"], ["--duration"]),
        (["load", "nonsense"], ["nonsense"]),
        (["load", "--json", "/nosuch/folder/report.json"], ["/nosuch/folder"]),
        (["serve", "--port", "99999"], ["99999"]),
        (["serve", "--workers", "0"], ["0"]),
        (["serve", "--stock-failure", "2"], ["2"]),
        (["serve", "--delay-scale", "-1"], ["-1"]),
        (["serve", "--delay-scale", "nan"], ["nan"]),
        (["loki", "--retention", "0"], ["--retention"]),
        (["loki", "--retention", "later"], ["later"]),
        (["loki", "--memory", "--data-dir", "x"], ["--memory"]),
        (["smoke", "ftp://x"], ["ftp://x"]),
        (["demo", "--loki", "x"], ["x"]),
    ],
    ids=lambda value: " ".join(value) if value and isinstance(value, list) else "",
)
def test_a_bad_option_is_refused_before_anything_starts(
    args: list[str], words: list[str], home: Path, run_here: RunHere
) -> None:
    assert_refused(run_here(*args), 2, *words)
    assert processes_of(home) == []
    assert not (home / "data").exists()


@pytest.mark.parametrize("query", ['{app="x"', "{app=x}", '{app="x"} |', "sum(", '{app="x"} | json |= error'])
@pytest.mark.parametrize("command", ["query", "tail"])
def test_logql_that_does_not_parse_is_shown_with_its_place(
    command: str, query: str, home: Path, run_here: RunHere
) -> None:
    done = run_here(command, query)
    assert_refused(done, 2, "parse error at line 1, col", lines=3)
    _, shown, caret = done.stderr.splitlines()
    assert shown == query
    assert caret.strip() == "^"
    assert processes_of(home) == []


@pytest.mark.parametrize(
    ("variable", "value"),
    [("LOKI_URL", "nonsense"), ("LOKI_ENABLED", "maybe"), ("APIMON_SAMPLE", "2"), ("APIMON_SLOW", "x")],
)
@pytest.mark.parametrize("command", ["serve", "query", "tail"])
def test_a_bad_setting_is_named(
    command: str, variable: str, value: str, home: Path, run_here: RunHere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    assert_refused(run_here(command), 2, f"{variable}={value!r}", "allowed is")
    assert processes_of(home) == []


def test_a_bad_setting_in_dotenv_is_named(tmp_path: Path, run_here: RunHere) -> None:
    (tmp_path / ".env").write_text("APIMON_SAMPLE=lots\n")
    assert_refused(run_here("serve", "--port", "0"), 2, "APIMON_SAMPLE='lots'")


@pytest.mark.parametrize("command", ["serve", "loki"])
def test_a_port_in_use_is_refused_before_anything_starts(command: str, taken_port: int, home: Path) -> None:
    assert_refused(run_apimon(command, "--port", str(taken_port)), 1, str(taken_port))
    assert processes_of(home) == []


@pytest.mark.parametrize("command", ["query", "tail", "serve"])
def test_something_else_on_lokis_port_is_named_for_what_it_is(command: str, web_server: str, home: Path) -> None:
    port = ("--port", "0") if command == "serve" else ()
    assert_refused(run_apimon(command, *port, "--loki", web_server), 3, web_server)
    assert processes_of(home) == []


@pytest.mark.parametrize("command", ["query", "tail"])
def test_a_loki_elsewhere_that_is_away_is_exit_3(command: str) -> None:
    assert_refused(run_apimon(command, "--loki", "http://loki.invalid:3100"), 3, "http://loki.invalid:3100")


@pytest.mark.parametrize("command", ["load", "smoke"])
def test_a_target_that_is_away_is_exit_3(command: str) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    assert_refused(run_apimon(command, url), 3, url)


def test_a_corrupt_store_is_refused_and_left_as_it_is(tmp_path: Path, home: Path) -> None:
    folder = tmp_path / "logs"
    with running_embedded_loki("--data-dir", str(folder)) as (_, process):
        assert process.stop() == 0
    files = [path for path in folder.rglob("*") if path.is_file() and path.stat().st_size > 0]
    (store,) = [path for path in files if "duckdb" in path.name or path.suffix == ".db"]
    store.write_bytes(b"garbage" * 1000)
    before = store.read_bytes()
    assert_refused(run_apimon("loki", "--port", "0", "--data-dir", str(folder)), 1, str(folder))
    assert store.read_bytes() == before
    # A command that would start the server says the same, and not that no Loki is there.
    loki_url = f"http://127.0.0.1:{free_port()}"
    done = run_apimon("query", "--loki", loki_url, env={"APIMON_DATA_DIR": str(folder)})
    assert done.returncode in {1, 3}
    assert str(folder) in done.stderr
    assert store.read_bytes() == before


def test_the_second_server_on_a_folder_says_who_holds_it(tmp_path: Path) -> None:
    folder = ("--data-dir", str(tmp_path / "logs"))
    with running_embedded_loki(*folder) as (url, process):
        assert_refused(run_apimon("loki", "--port", "0", *folder), 1, str(process.pid), str(tmp_path / "logs"))
        assert LokiHttp(url).get("/ready").status == 200
