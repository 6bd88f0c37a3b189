"""`apimon query`."""

from apimon.commands.options import Debug
from apimon.errors import ExitCode


def query(debug: Debug = False) -> ExitCode:
    """Placeholder."""
    return ExitCode.OK
