"""What `query` and `tail` do with their options. Imported by the commands when they run."""

import asyncio
import os
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass

from apimon.commands.reading_options import Output
from apimon.config import Settings
from apimon.errors import QueryError, UnsupportedQueryError
from apimon.loki.client import AsyncLokiClient
from apimon.loki.local import attach_loki
from apimon.loki.logql.nodes import Expr, PipelineExpr
from apimon.loki.logql.parser import parse_expr
from apimon.loki.model import ResultType
from apimon.loki.output import OutputFormat, create_format
from apimon.loki.paging import EntryReader
from apimon.loki.presets import Presets, build_query, check_text, select_records
from apimon.units import format_duration_ns


@dataclass(frozen=True)
class PreparedQuery:
    """The LogQL to run, and its nodes; None where this apimon doesn't understand it and Loki may."""

    text: str
    expr: Expr | None

    @property
    def pipeline(self) -> PipelineExpr | None:
        """The nodes of a log query; None for a metric query."""
        return self.expr if isinstance(self.expr, PipelineExpr) else None

    @property
    def is_metric(self) -> bool:
        """Whether it certainly computes a metric."""
        return self.expr is not None and self.pipeline is None


def prepare_query(query: str | None, presets: Presets) -> PreparedQuery:
    """Return the query with the presets added; raises QueryError and UsageError as `build_query` does."""
    if query is None:
        records = select_records(presets)
        return PreparedQuery(str(records), records)  # not parsed again: the grammar takes a while to load
    check_text("QUERY", query)
    text = build_query(presets, query)
    return PreparedQuery(text, _parse(text))


def _parse(text: str) -> Expr | None:
    try:
        return parse_expr(text)
    except UnsupportedQueryError:
        return None
    except QueryError as exc:
        if exc.line:
            raise
        return None  # no error of syntax: another Loki may take it, and says so itself where it doesn't


def choose_format(output: Output) -> OutputFormat:
    """Return the format; in colour where stdout is a terminal and NO_COLOR isn't set."""
    color = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return create_format(output, color=color)


def say(message: str) -> None:
    """Tell the person, on stderr."""
    print(f"apimon: {message}", file=sys.stderr, flush=True)


def print_answer(prepared: PreparedQuery, settings: Settings, since_ns: int, limit: int, output: OutputFormat) -> None:
    """Print what the query finds in the last `since_ns`: lines newest first, at most `limit` (0: all), or metrics."""
    with attach_loki(settings):
        end_ns = time.time_ns()
        span = (max(0, end_ns - since_ns), end_ns)
        if not asyncio.run(_print_answer(prepared, settings, span, limit, output)):
            say(f"nothing found in the last {format_duration_ns(since_ns)}: --since looks further back")


async def _print_answer(
    prepared: PreparedQuery, settings: Settings, span: tuple[int, int], limit: int, output: OutputFormat
) -> bool:
    """Print the answer, and return whether there was anything to print."""
    async with AsyncLokiClient(settings=settings.loki) as client:
        if prepared.pipeline is None:
            result = await client.query_range(prepared.text, start_ns=span[0], end_ns=span[1], limit=1)
            if result.type is not ResultType.STREAMS:
                return _write_lines(output.format_metrics(result))
        reader = EntryReader(client, prepared.text, prepared.pipeline)
        found = False
        async for page in reader.read_pages(*span, limit):
            found |= _write_lines(output.format_entry(labels, entry) for labels, entry in page)
        return found


def _write_lines(lines: Iterable[str]) -> bool:
    """Write the lines to stdout, and return whether there were any."""
    # Lines are UTF-8 whatever the terminal's locale is: a file of them must be readable elsewhere.
    encoded = [f"{line}\n".encode() for line in lines]
    sys.stdout.buffer.writelines(encoded)
    sys.stdout.buffer.flush()
    return bool(encoded)
