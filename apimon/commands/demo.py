"""`apimon demo`: the whole loop in one command."""

from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from apimon.commands.options import Debug, LokiUrl, read_settings
from apimon.errors import ExitCode


def demo(
    once: Annotated[bool, typer.Option("--once", help="End after the figures, instead of following the logs.")] = False,
    loki: LokiUrl = None,
    debug: Debug = False,
) -> ExitCode:
    """Serve the shop, put it under load, and compare what both sides saw; then follow its logs until Ctrl-C.

    All of it runs on free ports and in a temporary folder, and ends with this command. Exit 1 where the counts differ.

    \b
    Examples:
      apimon demo
      apimon demo --once
      apimon demo --once --loki http://127.0.0.1:3100
    """  # noqa: D301 (Typer's mark for lines that stay as they are)
    from apimon.commands.demonstration import Demonstration
    from apimon.loki.local import attach_loki

    settings = read_settings(loki)
    with ExitStack() as stack:
        if loki is not None:
            stack.enter_context(attach_loki(settings))
        folder = stack.enter_context(TemporaryDirectory(prefix="apimon-demo-", ignore_cleanup_errors=True))
        return Demonstration(Path(folder), settings if loki else None, once=once).run()
