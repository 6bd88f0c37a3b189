"""`apimon load`."""

from apimon.commands.options import Debug
from apimon.errors import ExitCode


def load(debug: Debug = False) -> ExitCode:
    """Placeholder."""
    return ExitCode.OK
