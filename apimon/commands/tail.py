"""`apimon tail`."""

from apimon.commands.options import Debug
from apimon.errors import ExitCode


def tail(debug: Debug = False) -> ExitCode:
    """Placeholder."""
    return ExitCode.OK
