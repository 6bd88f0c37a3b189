"""The Typer app and its one error handler: names the commands, turns every error into one line and an exit code.

Knows nothing of what the commands do. Heavy modules are imported inside the commands, so that `--help` is quick.
"""

import functools
import os
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, NoReturn

import typer
from typer.core import TyperGroup

from apimon import __version__
from apimon.commands import demo, load, loki, options, query, serve, smoke, tail
from apimon.errors import ApimonError, ExitCode, QueryError

Command = Callable[..., ExitCode]

_HELP_OPTIONS = ["-h", "--help"]


def _flush_stdout(command: Command) -> Command:
    """Let a full disk or a closed pipe be met here, and not by the interpreter on its way out."""

    @functools.wraps(command)
    def flushed(*args: object, **kwargs: object) -> ExitCode:
        code = command(*args, **kwargs)
        sys.stdout.flush()
        return code

    return flushed


def build_app() -> typer.Typer:
    """Return the app with every command; each command's function returns its exit code."""
    app = typer.Typer(
        name="apimon",
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": _HELP_OPTIONS},
    )
    app.callback()(_root)
    for name, command in (
        ("serve", serve.serve),
        ("load", load.load),
        ("smoke", smoke.smoke),
        ("tail", tail.tail),
        ("query", query.query),
        ("loki", loki.loki),
        ("demo", demo.demo),
    ):
        app.command(name)(_flush_stdout(command))
    return app


def run(args: Sequence[str]) -> int:
    """Run one command line and return its exit code; errors are printed on stderr, one line each.

    No arguments at all ask for help.
    """
    options.remember_debug(False)
    try:
        app = build_app()
        if _print_command_help(app, args):
            return ExitCode.OK
        code = app(args=list(args) or ["--help"], prog_name="apimon", standalone_mode=False)
    except SystemExit as exc:
        # How Typer ends when the reader of our output has gone: to us that is no error.
        if not isinstance(exc.__context__, BrokenPipeError):
            raise
        _drop_output()
        return ExitCode.OK
    except BrokenPipeError:
        _drop_output()
        return ExitCode.OK
    except (KeyboardInterrupt, typer.Abort) as exc:
        if isinstance(exc.__context__, EOFError):
            # Typer takes it for the end of a prompt; here it is a connection's (asyncio.IncompleteReadError).
            return _report_unexpected(exc.__context__)
        return ExitCode.INTERRUPTED
    except typer.TyperException as exc:
        return _report(exc, _describe_usage(exc), exc.exit_code)
    except ApimonError as exc:
        if isinstance(exc, QueryError) and exc.caret():
            return _report(exc, f"{exc}\n{exc.caret()}", exc.exit_code)
        return _report(exc, str(exc), exc.exit_code)
    except Exception as exc:  # the last resort: no traceback unless asked for
        return _report_unexpected(exc)
    return int(code or 0)


def main() -> NoReturn:
    """Run the process's own command line."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by who started us: nobody reads it, as where a pipe's reader has gone
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  # open as long as the process
    sys.exit(_flush_output(run(sys.argv[1:])))


def _flush_output(code: int) -> int:
    """Write out what stdout still holds; where that fails the interpreter must not try it again at its own end."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
    except OSError as exc:
        _drop_output()
        return code or _report(exc, f"cannot write to stdout: {exc.strerror}", ExitCode.ERROR)
    return code


def _describe_usage(exc: typer.TyperException) -> str:
    """Return Typer's one line; where pydantic refused a value, with the value that Typer leaves out."""
    refusals = getattr(exc.__cause__, "errors", None)
    message = exc.format_message()
    value = repr(refusals()[0]["input"]) if refusals else ""
    return message if value in message else f"{message}, not {value}"


def _drop_output() -> None:
    # The interpreter flushes stdout at exit and would complain once more.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print_command_help(app: typer.Typer, args: Sequence[str]) -> bool:
    """Print the help where `args` are `COMMAND --help`, and return whether they were.

    The same text as Typer's own way, which loads pydantic to convert the options that precede the command: two
    thirds of the time.
    """
    if len(args) != 2 or args[1] not in _HELP_OPTIONS:
        return False
    root = typer.main.get_command(app)
    if not isinstance(root, TyperGroup) or args[0] not in root.commands:
        return False
    context = root.context_class(root, info_name="apimon", **root.context_settings)
    command = root.commands[args[0]]
    typer.echo(command.get_help(command.context_class(command, context, args[0], **command.context_settings)))
    return True


def _report_unexpected(exc: Exception) -> int:
    remedy = "" if options.debug_wanted() else "; run it again with --debug for the traceback"
    return _report(exc, f"{type(exc).__name__}: {exc}{remedy}", ExitCode.ERROR)


def _report(exc: Exception, message: str, code: int) -> int:
    if options.debug_wanted():
        import traceback

        traceback.print_exception(exc, file=sys.stderr)
    print(f"error: {message}", file=sys.stderr)
    return code


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"apimon {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """See every request your API serves, put it under load, and ask the logs what happened."""
