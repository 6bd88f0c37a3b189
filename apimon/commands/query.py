"""`apimon query`: find log lines, or compute metrics from them."""

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
from apimon.units import parse_duration_ns


def query(
    query: Query = None,
    endpoint: Endpoint = None,
    status: Status = None,
    method: Method = None,
    level: Level = None,
    service: Service = None,
    run: Run = None,
    grep: Grep = None,
    since: Annotated[str, typer.Option("--since", metavar="TIME", help="How far back to look: 15m, 1h, 7d.")] = "1h",
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=0, help="At most N lines; 0 for all.")] = 30,
    output: OutputOption = Output.DEFAULT,
    loki: LokiUrl = None,
    debug: Debug = False,
) -> ExitCode:
    """Find log lines, newest first, or compute metrics from them.

    \b
    Examples:
      apimon query --status 5xx --since 15m
      apimon query --endpoint '/products/{product_id}' --limit 0 --output jsonl
      apimon query 'sum by (endpoint) (rate({service="shop"}[1m]))'
    """  # noqa: D301 (Typer's mark for lines that stay as they are)
    from apimon.commands.reading import choose_format, prepare_query, print_answer
    from apimon.loki.presets import Presets

    since_ns = _parse_since(since)
    prepared = prepare_query(query, Presets(endpoint, status, method, level, service, run, grep))
    print_answer(prepared, read_settings(loki), since_ns, limit, choose_format(output))
    return ExitCode.OK


def _parse_since(text: str) -> int:
    try:
        since_ns = parse_duration_ns(text)
    except ValueError as exc:
        raise UsageError(f"--since: {exc}") from None
    if since_ns == 0:
        raise UsageError(f"--since {text!r} is no time at all: give a longer one, such as 15m")
    return since_ns
