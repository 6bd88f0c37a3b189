"""A process that outlives another one by a moment, to end what that one has started.

It reads `+PID` and `-PID` lines on stdin: process groups to end, and such as ended already. The end of stdin, however
its writer died, ends the groups that are left, the latest first: each politely, then, after a grace, for good.
"""

import contextlib
import os
import signal
import sys
import time
from typing import IO

_GRACE_S = 10.0
_POLL_S = 0.05


def watch(lines: IO[str]) -> None:
    """Read until the end, then end what is left."""
    groups: list[int] = []
    for line in lines:
        group = int(line[1:])
        if line.startswith("+"):
            groups.append(group)
        else:
            groups.remove(group)
    # A server that ends still needs those that were started before it.
    for group in reversed(groups):
        _end(group)


def _end(group: int) -> None:
    # PermissionError is what macOS says of a group of zombies.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGTERM)
        deadline_s = time.monotonic() + _GRACE_S
        while time.monotonic() < deadline_s:
            time.sleep(_POLL_S)
            os.killpg(group, 0)  # raises once it is gone
        os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    watch(sys.stdin)
