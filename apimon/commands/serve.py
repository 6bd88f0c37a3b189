"""`apimon serve`."""

from apimon.commands.options import Debug
from apimon.errors import ExitCode


def serve(debug: Debug = False) -> ExitCode:
    """Placeholder."""
    return ExitCode.OK
