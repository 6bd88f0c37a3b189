"""`apimon tail`: follow log lines as they come."""

from typing import Annotated

import typer

from apimon.commands.options import Debug, LokiUrl, read_settings
from apimon.commands.reading_options import (
    Endpoint,
    Grep,
    Level,
    Method,
    Output,
    OutputOption,
    Query,
    Run,
    Service,
    Status,
)
from apimon.errors import ExitCode, UsageError


def tail(
    query: Query = None,
    endpoint: Endpoint = None,
    status: Status = None,
    method: Method = None,
    level: Level = None,
    service: Service = None,
    run: Run = None,
    grep: Grep = None,
    lines: Annotated[
        int, typer.Option("--lines", metavar="N", min=0, max=5000, help="Show the last N lines of the past hour first.")
    ] = 10,
    output: OutputOption = Output.DEFAULT,
    loki: LokiUrl = None,
    debug: Debug = False,
) -> ExitCode:
    """Follow log lines as they come, oldest first; Ctrl-C ends it.

    \b
    Examples:
      apimon tail --endpoint /products
      apimon tail --status 4xx,5xx --lines 0
      apimon tail '{service="shop"} |= "purchase"' --output jsonl
    """  # noqa: D301 (Typer's mark for lines that stay as they are)
    from apimon.commands.following import follow_query
    from apimon.commands.reading import choose_format, prepare_query
    from apimon.loki.presets import Presets

    prepared = prepare_query(query, Presets(endpoint, status, method, level, service, run, grep))
    if prepared.is_metric:
        raise UsageError(f"tail follows queries that select logs, and {query!r} computes a metric: use apimon query")
    follow_query(prepared, read_settings(loki), lines, choose_format(output))
    return ExitCode.OK
