"""Start the server as the purpose of a process, soon: most of the start is importing."""

import gc
import sys
from pathlib import Path

from apimon.units import NS_PER_S


def run_process(
    host: str, port: int, data_dir: Path | None, *, retention_s: float, lease_grace_s: float | None = None
) -> None:
    """Serve until told to end, and say on stderr where; raises ApimonError. `data_dir` None keeps all in memory."""
    # Modules are no garbage: looking for some among them, again and again, is a tenth of the start.
    gc.disable()
    try:
        from apimon.loki.embedded.server import ServerConfig, run_server

        config = ServerConfig(
            host, port, data_dir, retention_ns=round(retention_s * NS_PER_S), lease_grace_s=lease_grace_s
        )
        run_server(config, _announce)
    finally:
        gc.enable()


def _announce(url: str) -> None:
    gc.freeze()
    gc.enable()
    print(f"apimon: serving {url}", file=sys.stderr, flush=True)  # noqa: T201  # talk
