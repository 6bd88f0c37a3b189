"""`apimon query`: find log lines, or compute metrics from them."""

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

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

if TYPE_CHECKING:
    from apimon.commands.reading import PreparedQuery
    from apimon.loki.client import AsyncLokiClient
    from apimon.loki.output import OutputFormat
    from apimon.loki.paging import LabeledEntry


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
    import asyncio
    import time

    from apimon.commands.reading import choose_format, prepare_query
    from apimon.loki.client import AsyncLokiClient
    from apimon.loki.local import attach_loki
    from apimon.loki.presets import Presets

    since_ns = _parse_since(since)
    prepared = prepare_query(query, Presets(endpoint, status, method, level, service, run, grep))
    settings = read_settings(loki)

    async def read() -> None:
        end_ns = time.time_ns()
        async with AsyncLokiClient(settings=settings.loki) as client:
            reading = _Reading(client, prepared, max(0, end_ns - since_ns), end_ns, limit)
            await reading.print(choose_format(output))

    with attach_loki(settings):
        asyncio.run(read())
    return ExitCode.OK


def _parse_since(text: str) -> int:
    try:
        since_ns = parse_duration_ns(text)
    except ValueError as exc:
        raise UsageError(f"--since: {exc}") from None
    if since_ns == 0:
        raise UsageError(f"--since {text!r} is no time at all: give a longer one, such as 15m")
    return since_ns


class _Reading:
    """One query over [start, end), read and printed as it comes."""

    def __init__(
        self, client: "AsyncLokiClient", prepared: "PreparedQuery", start_ns: int, end_ns: int, limit: int
    ) -> None:
        self._client = client
        self._prepared = prepared
        self._start_ns = start_ns
        self._end_ns = end_ns
        self._limit = limit

    async def print(self, output: "OutputFormat") -> None:
        if self._prepared.pipeline is None and await self._print_metrics(output):
            return
        from apimon.loki.paging import EntryReader

        reader = EntryReader(self._client, self._prepared.text, self._prepared.pipeline)
        async for page in reader.read_pages(self._start_ns, self._end_ns, self._limit):
            _write_lines(_format_entries(output, page))

    async def _print_metrics(self, output: "OutputFormat") -> bool:
        """Print the answer if it is metrics; False where Loki says that the query selects logs."""
        from apimon.loki.model import ResultType

        result = await self._client.query_range(
            self._prepared.text, start_ns=self._start_ns, end_ns=self._end_ns, limit=1
        )
        if result.type is ResultType.STREAMS:
            return False
        _write_lines(output.format_metrics(result))
        return True


def _format_entries(output: "OutputFormat", page: "Iterable[LabeledEntry]") -> Iterable[str]:
    return (output.format_entry(labels, entry) for labels, entry in page)


def _write_lines(lines: Iterable[str]) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()
