"""`apimon smoke`: the shop's endpoints, expected and actual."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from apimon.commands.options import DEFAULT_TARGET, Debug
from apimon.config import parse_loki_url
from apimon.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from apimon.commands.smoke_calls import Outcome


def smoke(
    url: Annotated[str, typer.Argument(metavar="[URL]", help="The shop's base URL.")] = DEFAULT_TARGET,
    debug: Debug = False,
) -> ExitCode:
    """Call every endpoint of the shop once, the error cases too, and compare the statuses; exit 1 if one differs.

    \b
    Examples:
      apimon smoke
      apimon smoke http://127.0.0.1:8080
    """  # noqa: D301 (Typer's mark for lines that stay as they are)
    try:
        parse_loki_url(url)
    except ValueError:
        raise UsageError(f"{url!r} is not an http:// or https:// URL") from None
    import asyncio

    outcomes = asyncio.run(_print_outcomes(url))
    failed = sum(not outcome.passed for outcome in outcomes)
    print(f"{len(outcomes) - failed} of {len(outcomes)} calls answered as expected")
    return ExitCode.ERROR if failed else ExitCode.OK


async def _print_outcomes(url: str) -> list[Outcome]:
    from apimon.commands.smoke_calls import make_calls

    outcomes: list[Outcome] = []
    async for outcome in make_calls(url):
        if not outcomes:
            print(f"{'METHOD':<7}{'PATH':<26}{'EXPECTED':<12}{'ACTUAL':<8}{'TIME':>8}")
        outcomes.append(outcome)
        print(_row(outcome), flush=True)
    return outcomes


def _row(outcome: Outcome) -> str:
    call = outcome.call
    expected = " or ".join(map(str, call.expected))
    actual = str(outcome.status or "-")
    note = "" if outcome.passed else f"  MISMATCH {outcome.error}".rstrip()
    return f"{call.method:<7}{call.path:<26}{expected:<12}{actual:<8}{outcome.duration_ms:>6.0f}ms{note}"
