"""`apimon demo`."""

from apimon.commands.options import Debug
from apimon.errors import ExitCode


def demo(debug: Debug = False) -> ExitCode:
    """Placeholder."""
    return ExitCode.OK
