"""`apimon loki`."""

from apimon.commands.options import Debug
from apimon.errors import ExitCode


def loki(debug: Debug = False) -> ExitCode:
    """Placeholder."""
    return ExitCode.OK
