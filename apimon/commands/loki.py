"""`apimon loki`: the embedded server in the foreground."""

from pathlib import Path
from typing import Annotated

import typer

from apimon.commands.options import Debug, duration, read_settings
from apimon.errors import ExitCode, UsageError


def loki(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 3100,
    data_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where the logs are kept [env: APIMON_DATA_DIR].")
    ] = None,
    retention: Annotated[str, typer.Option(metavar="TIME", help="Delete entries that are older than this.")] = "7d",
    memory: Annotated[bool, typer.Option("--memory", help="Keep everything in memory, nothing on disk.")] = False,
    debug: Debug = False,
) -> ExitCode:
    """Run the embedded Loki-compatible server until Ctrl-C.

    \b
    Examples:
      apimon loki
      apimon loki --port 0 --memory
      apimon loki --data-dir ./logs --retention 2d
    """  # noqa: D301 (Typer's mark for lines that stay as they are)
    if memory and data_dir is not None:
        raise UsageError("--memory keeps nothing on disk: leave out --data-dir, or --memory")
    retention_s = duration("--retention")(retention)
    if not retention_s:
        raise UsageError(f"--retention {retention} would keep nothing: give a time such as 7d")
    folder = None if memory else (data_dir or read_settings().data_dir).expanduser().absolute()

    from apimon.loki.embedded.starting import run_process

    run_process(host, port, folder, retention_s=retention_s)
    return ExitCode.OK
