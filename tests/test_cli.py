"""The command line's own behaviour: help, one line an error, exit codes, pipes."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable

import pytest
import typer

from apimon import __version__, cli
from apimon.commands.options import Debug
from apimon.errors import ApimonError, ExitCode, LokiUnreachableError, QueryError, UsageError
from tests.support.processes import APIMON, run_apimon

COMMANDS = ("serve", "load", "smoke", "tail", "query", "loki", "demo")
Raiser = Callable[[BaseException], None]


@pytest.fixture
def let_command_raise(monkeypatch: pytest.MonkeyPatch) -> Raiser:
    """Return a function that makes the command line one with a single command, which raises what it is given."""

    def install(error: BaseException) -> None:
        def fail(debug: Debug = False) -> ExitCode:
            raise error

        app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None)
        app.callback()(lambda: None)
        app.command("fail")(fail)
        monkeypatch.setattr(cli, "build_app", lambda: app)

    return install


def test_version_is_on_stdout() -> None:
    done = run_apimon("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"apimon {__version__}\n", "")


@pytest.mark.parametrize("args", [[], ["--help"], ["-h"]])
def test_help_names_every_command(args: list[str]) -> None:
    done = run_apimon(*args)
    assert (done.returncode, done.stderr) == (0, "")
    listed = done.stdout.partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in listed] == list(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_debug(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([command, "--help"]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith(f"Usage: apimon {command}")
    assert "--debug" in shown.out
    assert shown.err == ""


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_the_text_that_typer_itself_prints(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    cli.run([command, "--help"])
    ours = capsys.readouterr().out
    cli.build_app()(args=[command, "--help"], prog_name="apimon", standalone_mode=False)
    assert capsys.readouterr().out == ours


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["nosuch"], "No such command 'nosuch'"),
        (["qurey"], "Did you mean 'query'?"),
        (["--nosuch"], "No such option: --nosuch"),
        (["query", "--nosuch"], "No such option: --nosuch"),
        (["load", "--html", "x.html"], "No such option: --html"),
        (["serve", "--reload"], "No such option: --reload"),
        (["stats"], "No such command 'stats'"),
        (["load", "--users", "many"], "Invalid value for '--users': Input should be a valid integer"),
        (["load", "--users", "many"], ", not 'many'\n"),
        (["serve", "--port", "99999"], ", not '99999'\n"),
        (["", ""], "No such command"),
    ],
)
def test_a_usage_error_is_one_line_and_exit_2(
    args: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(args) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("error: ")
    assert message in shown.err
    assert shown.err.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (ApimonError("it broke"), 1, "error: it broke\n"),
        (UsageError("not like that"), 2, "error: not like that\n"),
        (
            LokiUnreachableError("http://h:1", "refused"),
            3,
            "error: no Loki at http://h:1: refused; start one with 'apimon loki', or set LOKI_URL\n",
        ),
        (
            QueryError("parse error at line 1, col 2: x", line=1, column=2, query="{a"),
            2,
            "error: parse error at line 1, col 2: x\n{a\n ^\n",
        ),
        (ValueError("oops"), 1, "error: ValueError: oops; run it again with --debug for the traceback\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_an_error_is_told_on_stderr_without_a_traceback(
    error: BaseException, code: int, message: str, let_command_raise: Raiser, capsys: pytest.CaptureFixture[str]
) -> None:
    let_command_raise(error)
    assert cli.run(["fail"]) == code
    assert capsys.readouterr() == ("", message)


def test_the_end_of_a_connection_is_an_error_and_no_interrupt(
    let_command_raise: Raiser, capsys: pytest.CaptureFixture[str]
) -> None:
    let_command_raise(asyncio.IncompleteReadError(b"", 5))
    assert cli.run(["fail"]) == 1
    assert capsys.readouterr().err.strip().startswith("error: IncompleteReadError: 0 bytes read")


@pytest.mark.parametrize(("stream", "args", "code"), [(1, "--version", 0), (2, "query --status 9", 2)])
def test_a_closed_stream_changes_neither_exit_code_nor_the_other_stream(stream: int, args: str, code: int) -> None:
    command = f"{' '.join(APIMON)} {args} {stream}>&-"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")


def test_debug_adds_the_traceback(let_command_raise: Raiser, capsys: pytest.CaptureFixture[str]) -> None:
    let_command_raise(ApimonError("it broke"))
    assert cli.run(["fail", "--debug"]) == 1
    shown = capsys.readouterr()
    assert shown.err.startswith("Traceback (most recent call last):")
    assert shown.err.endswith("error: it broke\n")


def test_debug_of_one_run_does_not_reach_the_next(
    let_command_raise: Raiser, capsys: pytest.CaptureFixture[str]
) -> None:
    let_command_raise(ApimonError("it broke"))
    cli.run(["fail", "--debug"])
    capsys.readouterr()
    cli.run(["fail"])
    assert capsys.readouterr().err == "error: it broke\n"


def test_a_command_s_exit_code_is_the_process_s(monkeypatch: pytest.MonkeyPatch) -> None:
    app = typer.Typer()
    app.callback()(lambda: None)
    app.command("give")(lambda: ExitCode.THRESHOLD_FAILED)
    monkeypatch.setattr(cli, "build_app", lambda: app)
    assert cli.run(["give"]) == 99


@pytest.mark.parametrize("args", [["--help"], ["--version"], ["query", "--help"]])
def test_a_closed_pipe_is_a_quiet_success(args: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*APIMON, *args], stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has a device that is always full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_under_stdout_is_one_line_and_exit_1(monkeypatch: pytest.MonkeyPatch, unbuffered: str) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    with open("/dev/full", "w") as full:
        done = subprocess.run([*APIMON, "--version"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert "No space left" in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_console_script_and_the_module_are_the_same_command() -> None:
    script = os.path.join(os.path.dirname(sys.executable), "apimon")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=False)
    assert done.stdout == run_apimon("--version").stdout
