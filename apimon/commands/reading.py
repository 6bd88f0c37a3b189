"""What `query` and `tail` share: the query they run, the format they print, what they say."""

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from apimon.commands.reading_options import Output
from apimon.errors import QueryError, UnsupportedQueryError

if TYPE_CHECKING:
    from apimon.loki.logql.nodes import Expr, PipelineExpr
    from apimon.loki.output import OutputFormat
    from apimon.loki.presets import Presets


@dataclass(frozen=True)
class PreparedQuery:
    """The LogQL to run, and its nodes; None where this apimon doesn't understand it and Loki may."""

    text: str
    expr: "Expr | None"

    @property
    def pipeline(self) -> "PipelineExpr | None":
        """The nodes of a log query; None for a metric query."""
        from apimon.loki.logql.nodes import PipelineExpr

        return self.expr if isinstance(self.expr, PipelineExpr) else None

    @property
    def is_metric(self) -> bool:
        """Whether it certainly computes a metric."""
        return self.expr is not None and self.pipeline is None


def prepare_query(query: str | None, presets: "Presets") -> PreparedQuery:
    """Return the query with the presets added; raises QueryError and UsageError as `build_query` does."""
    from apimon.loki.presets import build_query

    text = build_query(presets, query)
    return PreparedQuery(text, _parse(text))


def _parse(text: str) -> "Expr | None":
    from apimon.loki.logql.parser import parse_expr

    try:
        return parse_expr(text)
    except UnsupportedQueryError:
        return None
    except QueryError as exc:
        if exc.line:
            raise
        return None  # no error of syntax: a newer Loki may know it, and says so itself where it doesn't


def choose_format(output: Output) -> "OutputFormat":
    """Return the format; in colour where stdout is a terminal and NO_COLOR isn't set."""
    from apimon.loki.output import create_format

    color = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return create_format(output, color=color)


def say(message: str) -> None:
    """Tell the person, on stderr."""
    print(f"apimon: {message}", file=sys.stderr, flush=True)
