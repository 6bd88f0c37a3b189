"""One server on a folder: a lock that ends with its holder, and a note of who holds it."""

import fcntl
import json
import os
import time
from pathlib import Path

from apimon.errors import StoreError

_LOCK_FILE = "lock"
_POLL_S = 0.05


class FolderLock:
    """The exclusive lock of `folder`, which is created where it is missing; held until `release`.

    A holder that said it is closing is waited for, `patience_s` at most; any other is an error at once, naming it.
    """

    def __init__(self, folder: Path, *, patience_s: float = 15.0) -> None:
        path = folder / _LOCK_FILE
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise StoreError(f"cannot use the data folder {folder}: {exc.strerror}; choose another one") from exc
        try:
            self._acquire(folder, time.monotonic() + patience_s)
        except StoreError:
            os.close(self._fd)
            raise
        self._note(closing=False)

    def announce_closing(self) -> None:
        """Tell who wants the folder next that it is worth waiting."""
        self._note(closing=True)

    def release(self) -> None:
        """Let the next server in."""
        os.ftruncate(self._fd, 0)
        os.close(self._fd)

    def _acquire(self, folder: Path, deadline_s: float) -> None:
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = self._holder()
                # An empty note is that of a holder which has just come or is just going.
                if (holder and not holder.get("closing")) or time.monotonic() >= deadline_s:
                    pid = holder.get("pid", "unknown")
                    raise StoreError(
                        f"the data folder {folder} is in use by process {pid}: end it, or choose another data folder"
                    ) from None
                time.sleep(_POLL_S)
            else:
                return

    def _holder(self) -> dict[str, object]:
        try:
            note = json.loads(os.pread(self._fd, 4096, 0))
        except ValueError:
            return {}
        return note if isinstance(note, dict) else {}

    def _note(self, *, closing: bool) -> None:
        note = json.dumps({"pid": os.getpid(), "closing": closing}).encode()
        os.pwrite(self._fd, note, 0)
        os.ftruncate(self._fd, len(note))
