"""Where a report goes: stdout for `-`, else a file that appears whole or not at all."""

import os
import stat
import sys
import tempfile
from pathlib import Path

from apimon.errors import ApimonError, UsageError

STDOUT = "-"


class Destination:
    """A report's place, checked before the run and written after it."""

    def __init__(self, name: str, option: str) -> None:
        """Check that the report can be written. Raises UsageError, which names the option."""
        self.is_stdout = name == STDOUT
        self._path = Path(name)
        if self.is_stdout:
            return
        try:
            self._replaceable = not self._path.exists() or stat.S_ISREG(self._path.stat().st_mode)
            self._check()
        except OSError as exc:
            reason = os.strerror(exc.errno).lower() if exc.errno else str(exc)
            raise UsageError(f"{option} {name}: {reason}; give a file in a folder that can be written") from exc

    def write(self, text: str) -> None:
        """Write the report whole. Raises ApimonError where that fails; what stood there before then still does."""
        if self.is_stdout:
            sys.stdout.write(text)
            return
        try:
            if self._replaceable:
                self._replace(text)
            else:
                self._path.write_text(text, "utf-8")
        except OSError as exc:
            reason = os.strerror(exc.errno).lower() if exc.errno else str(exc)
            raise ApimonError(
                f"cannot write the report {self._path}: {reason}; free some space or choose another place"
            ) from exc

    def _check(self) -> None:
        if self._path.is_dir():
            raise IsADirectoryError(21, "is a directory")
        if self._replaceable:
            with tempfile.TemporaryFile(dir=self._path.resolve().parent):
                pass
        if self._path.exists() and not os.access(self._path, os.W_OK):
            raise PermissionError(13, "permission denied")

    def _replace(self, text: str) -> None:
        # Beside the target, so that the last step is one rename in the same file system; through a link, to its end.
        path = self._path.resolve()
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            os.chmod(temporary, path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask())
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
