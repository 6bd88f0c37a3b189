"""`apimon smoke`."""

from apimon.commands.options import Debug
from apimon.errors import ExitCode


def smoke(debug: Debug = False) -> ExitCode:
    """Placeholder."""
    return ExitCode.OK
