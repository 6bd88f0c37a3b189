"""`apimon load`: simulated users against a server."""

import os
import sys
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from apimon.commands.options import DEFAULT_TARGET, Debug
from apimon.commands.options import duration as parse_duration
from apimon.errors import ApimonError, ExitCode, UsageError
from apimon.units import NS_PER_S, format_duration_ns

if TYPE_CHECKING:
    from apimon.loadtest.plan import LoadPlan
    from apimon.loadtest.report import LoadReport

MAX_USERS = 100_000
MAX_SECONDS = 7 * 86_400
MAX_SEED = (1 << 53) - 1
"""The largest number that every reader of JSON takes exactly."""


def load(
    url: Annotated[str, typer.Argument(metavar="URL", help="The server's base URL.")] = DEFAULT_TARGET,
    users: Annotated[int, typer.Option("--users", metavar="N", help="Simulated users.")] = 5,
    duration: Annotated[str, typer.Option("--duration", metavar="TIME", help="How long they go on.")] = "10s",
    seed: Annotated[
        int | None, typer.Option("--seed", metavar="N", help="Repeat the choices of the run with this seed.")
    ] = None,
    timeout: Annotated[
        str, typer.Option("--timeout", metavar="TIME", help="Longest wait for a whole answer, connecting included.")
    ] = "10s",
    grace: Annotated[
        str, typer.Option("--grace", metavar="TIME", help="How long requests in flight at the end may go on.")
    ] = "5s",
    json_file: Annotated[
        str | None, typer.Option("--json", metavar="FILE", help="Write the report as JSON; - is stdout.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No live view and no summary.")] = False,
    debug: Debug = False,
) -> ExitCode:
    """Let simulated users shop: browse, view, buy and look at orders, thinking 0.1 to 2 s in between.

    Ctrl-C ends the run at once, with its summary and report (exit 105); a run without a success exits 1.

    \b
    Examples:
      apimon load
      apimon load http://127.0.0.1:8000 --users 50 --duration 1m
      apimon load --seed 1 --json report.json --quiet
      apimon load --json - | jq .totals
    """  # noqa: D301 (Typer's mark for lines that stay as they are)
    from apimon.loadtest.destination import Destination

    plan = _plan(url, users, seed, duration, timeout, grace)
    destination = None if json_file is None else Destination(json_file, "--json")
    report = _run(plan, live=not quiet and sys.stderr.isatty())
    if not quiet:
        _print_summary(report, sys.stderr if destination is not None and destination.is_stdout else sys.stdout)
    if destination is not None:
        destination.write(_as_text(report))
    return _conclude(report)


def _plan(url: str, users: int, seed: int | None, duration: str, timeout: str, grace: str) -> "LoadPlan":
    from apimon.loadtest.plan import LoadPlan, new_seed
    from apimon.loadtest.shop import SHOP
    from apimon.loadtest.target import parse_target

    if not 1 <= users <= MAX_USERS:
        raise UsageError(f"--users {users} is out of range: give 1 to {MAX_USERS}")
    if seed is not None and not 0 <= seed <= MAX_SEED:
        raise UsageError(f"--seed {seed} is out of range: give 0 to {MAX_SEED}")
    return LoadPlan(
        target=parse_target(url),
        scenario=SHOP,
        users=users,
        duration_s=_parse_seconds("--duration", duration),
        timeout_s=_parse_seconds("--timeout", timeout),
        grace_s=_parse_seconds("--grace", grace, zero_allowed=True),
        seed=new_seed() if seed is None else seed,
    )


def _parse_seconds(option: str, text: str, *, zero_allowed: bool = False) -> float:
    seconds = parse_duration(option)(text)
    if seconds == 0 and not zero_allowed:
        raise UsageError(f"{option} {text}: give a time longer than zero")
    if seconds > MAX_SECONDS:
        raise UsageError(f"{option} {text}: give at most {format_duration_ns(MAX_SECONDS * NS_PER_S)}")
    return seconds


def _run(plan: "LoadPlan", *, live: bool) -> "LoadReport":
    from apimon.loadtest.engine import run_load

    if not live:
        return run_load(plan)
    from apimon.loadtest.live import LiveView

    with LiveView(sys.stderr) as view:
        return run_load(plan, view.show)


def _print_summary(report: "LoadReport", file: TextIO) -> None:
    from apimon.loadtest.summary import render_summary

    verdict, newline, rest = render_summary(report).partition("\n")
    if file.isatty() and "NO_COLOR" not in os.environ:
        verdict = typer.style(verdict, fg="green" if report.passed else "red", bold=True)
    print(verdict, rest, sep=newline, end="", file=file)


def _as_text(report: "LoadReport") -> str:
    import orjson

    return orjson.dumps(report.as_json(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def _conclude(report: "LoadReport") -> ExitCode:
    if report.interrupted:
        return ExitCode.LOAD_INTERRUPTED
    if report.passed:
        return ExitCode.OK
    reason = f"; mostly {report.errors[0].kind}: {report.errors[0].message}" if report.errors else ""
    raise ApimonError(f"no request to {report.plan.target.url} succeeded{reason}; is it the right server?")
