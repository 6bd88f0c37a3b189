"""The journal: what was accepted, on disk before it is acknowledged, in the order it is stored.

A folder of files `journal-<number>.log`, each a magic word and then frames: a mark, length and CRC-32 of the payload
(4 bytes each, little-endian), payload. Only the last file grows, and each frame is on the disk before the next is
begun: a crash can tear only the very last frame, which was never acknowledged and is cut. A damaged frame with a whole
one anywhere behind it was acknowledged, and is an error. It knows nothing of what the payloads say.
"""

import os
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from apimon.errors import StoreError

MAGIC = b"apimonJ2"
_MARK = b"\xf5frm"
"""Where a frame begins. No zeros, with which file systems fill what a crash left; no valid UTF-8, as lines are."""
_HEAD = struct.Struct("<4sII")
_CHECKSUM_START = zlib.crc32(_MARK)
"""Not 0: a mark before zeros must not be the frame of an empty payload."""
_NAME = re.compile(r"journal-(\d{8,})\.log", re.ASCII)
_ROTATE_BYTES = 32 << 20


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in the journal: the file's number and the byte at which the next frame begins."""

    number: int
    offset: int


START = Position(0, 0)
"""Before everything."""


class Disk:
    """The system calls that a journal makes: the seam at which tests fill or break a disk."""

    def write(self, fd: int, data: bytes) -> None:
        """Write all of `data`; raises OSError."""
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]

    def sync(self, fd: int) -> None:
        """Return once everything written is on the disk; raises OSError."""
        os.fsync(fd)


class Journal:
    """The files of one folder, opened for appending. Not thread-safe: one thread appends and removes."""

    def __init__(self, folder: Path, *, disk: Disk | None = None, rotate_bytes: int = _ROTATE_BYTES) -> None:
        self._folder = folder
        self._disk = disk or Disk()
        self._rotate_bytes = rotate_bytes
        self._fd = -1
        self._position = START

    @property
    def position(self) -> Position:
        """Where the next frame goes."""
        return self._position

    def replay(self, since: Position) -> Iterator[tuple[bytes, Position]]:
        """Yield every payload that starts at or after `since`, with the position after it; cut a torn end.

        Raises StoreError where a frame is damaged that isn't the last one of the last file.
        """
        numbers = self._numbers()
        for number in numbers:
            if number < since.number:
                continue
            path = self._path(number)
            data = _read(path)
            offset = max(since.offset, len(MAGIC)) if number == since.number else len(MAGIC)
            for payload, end in _frames(data, offset):
                yield payload, Position(number, end)
                offset = end
            if offset < len(data):
                # A frame is written only behind a magic word that is on the disk: nothing tears that word.
                if number != numbers[-1] or not data.startswith(MAGIC) or _holds_frame(data, offset):
                    raise StoreError(
                        f"the journal {path} is damaged at byte {offset}: restore the folder from a copy, or move "
                        f"{self._folder} away to start with an empty store"
                    )
                _cut(path, offset)

    def open(self, after: Position) -> None:
        """Begin a new file behind every other, and behind `after`; raises StoreError."""
        number = max([after.number, *self._numbers()]) + 1
        try:
            self._start_file(number)
        except OSError as exc:
            raise StoreError(
                f"cannot create {self._path(number)}: {exc.strerror}; make room or check its rights"
            ) from exc

    def append(self, payload: bytes) -> Position:
        """Write the payload and return, once it is on the disk, the position after it.

        Raises StoreError; then it will never be replayed.
        """
        try:
            if self._position.offset > self._rotate_bytes:
                self._start_file(self._position.number + 1)
            return self._write(payload)
        except OSError as exc:
            raise StoreError(
                f"cannot write the journal in {self._folder}: {exc.strerror or exc}; make room there"
            ) from exc

    def remove_before(self, position: Position) -> None:
        """Delete the files that end before `position`."""
        for number in self._numbers():
            if number < min(position.number, self._position.number):
                self._path(number).unlink(missing_ok=True)

    def close(self, *, delete: bool) -> None:
        """Close the file; delete all files where nothing in them is needed any more."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if delete:
            for number in self._numbers():
                self._path(number).unlink(missing_ok=True)

    def _write(self, payload: bytes) -> Position:
        start = self._position.offset
        try:
            self._disk.write(self._fd, _HEAD.pack(_MARK, len(payload), zlib.crc32(payload, _CHECKSUM_START)) + payload)
            self._disk.sync(self._fd)
        except OSError:
            # What reached the file must not be replayed: its sender was told that it isn't stored.
            os.ftruncate(self._fd, start)
            os.lseek(self._fd, start, os.SEEK_SET)
            raise
        self._position = Position(self._position.number, start + _HEAD.size + len(payload))
        return self._position

    def _start_file(self, number: int) -> None:
        fd = os.open(self._path(number), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            self._disk.write(fd, MAGIC)
            self._disk.sync(fd)
            sync_folder(self._folder)
        except OSError:
            os.close(fd)
            self._path(number).unlink(missing_ok=True)
            raise
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._position = fd, Position(number, len(MAGIC))

    def _path(self, number: int) -> Path:
        return self._folder / f"journal-{number:08d}.log"

    def _numbers(self) -> list[int]:
        names = (_NAME.fullmatch(path.name) for path in self._folder.iterdir())
        return sorted(int(name[1]) for name in names if name)


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise StoreError(f"cannot read the journal {path}: {exc.strerror}; check its rights") from exc


def _frames(data: bytes, offset: int) -> Iterator[tuple[bytes, int]]:
    if not data.startswith(MAGIC):
        return
    while (payload := _frame_at(data, offset)) is not None:
        offset += _HEAD.size + len(payload)
        yield payload, offset


def _frame_at(data: bytes, offset: int) -> bytes | None:
    """Return the payload of the whole frame that begins at `offset`, None where none does."""
    if offset + _HEAD.size > len(data):
        return None
    mark, size, checksum = _HEAD.unpack_from(data, offset)
    start = offset + _HEAD.size
    if mark != _MARK or start + size > len(data):
        return None
    payload = data[start : start + size]
    return payload if zlib.crc32(payload, _CHECKSUM_START) == checksum else None


def _holds_frame(data: bytes, offset: int) -> bool:
    """Return whether a whole frame begins anywhere at or behind `offset`."""
    while (offset := data.find(_MARK, offset)) >= 0:
        if _frame_at(data, offset) is not None:
            return True
        offset += 1
    return False


def _cut(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.truncate(offset)
        os.fsync(file.fileno())
