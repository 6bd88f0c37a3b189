"""The options that `query` and `tail` share: the presets and the output.

Light on purpose: importing this module must not import anything heavy.
"""

from enum import StrEnum
from typing import Annotated

import typer


class Output(StrEnum):
    """How entries are printed."""

    DEFAULT = "default"
    RAW = "raw"
    JSONL = "jsonl"


Query = Annotated[
    str | None, typer.Argument(metavar="QUERY", show_default=False, help="LogQL; presets are added to it.")
]
Endpoint = Annotated[
    str | None,
    typer.Option(
        "--endpoint",
        metavar="ROUTE",
        help="A route ('/products/{product_id}'), a glob of routes ('/products*'), or a route or path (/products/1).",
    ),
]
Status = Annotated[
    str | None,
    typer.Option("--status", metavar="CODES", help="404, 4xx, or several: 4xx,5xx."),
]
Method = Annotated[str | None, typer.Option("--method", metavar="NAME", help="GET, POST, …")]
Level = Annotated[str | None, typer.Option("--level", metavar="NAME", help="info, warning or error.")]
Service = Annotated[str | None, typer.Option("--service", metavar="NAME", help="One service's lines.")]
Run = Annotated[str | None, typer.Option("--run", metavar="ID", help="The lines of one load run.")]
Grep = Annotated[str | None, typer.Option("--grep", metavar="TEXT", help="Lines that have this text.")]
OutputOption = Annotated[
    Output, typer.Option("--output", help="default: for people; raw: the line as stored; jsonl: with time and labels.")
]
