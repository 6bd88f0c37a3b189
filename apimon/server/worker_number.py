"""The number of a worker process among its fellows, which uvicorn does not tell it."""

import fcntl
import os
from pathlib import Path


def claim_number(folder: Path) -> int:
    """Return the lowest number from 0 that no living process has claimed in `folder`; this process keeps it.

    A worker that takes the place of a dead one so takes its number too, and with it its part of the seed.
    """
    number = 0
    while True:
        descriptor = os.open(folder / str(number), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            number += 1
        else:
            return number  # the descriptor stays open: the lock ends with the process
