"""A process that outlives another one by a moment, to end what that one has started.

It reads `+PID` and `-PID` lines on stdin: process groups to end, and such as ended already. The end of stdin, however
its writer died, ends the groups that are left: first politely, then, after a grace, for good.
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
    groups: set[int] = set()
    for line in lines:
        group = int(line[1:])
        if line.startswith("+"):
            groups.add(group)
        else:
            groups.discard(group)
    _end(groups)


def _end(groups: set[int]) -> None:
    deadline_s = time.monotonic() + _GRACE_S
    _signal(groups, signal.SIGTERM)
    while groups and time.monotonic() < deadline_s:
        groups = {group for group in groups if _is_alive(group)}
        time.sleep(_POLL_S)
    _signal(groups, signal.SIGKILL)


def _signal(groups: set[int], number: signal.Signals) -> None:
    for group in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, number)


def _is_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    watch(sys.stdin)
