"""The journal: what was accepted, on disk before it is acknowledged, in the order it is stored.

A folder of files `journal-<number>.log`, each a magic word and then frames: length and CRC-32 of the payload (4 bytes
each, little-endian), payload. Only the last file grows. A crash can tear only frames that were never acknowledged, at
the end of the last file; they are cut. It knows nothing of what the payloads say.
"""

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from apimon.errors import StoreError

MAGIC = b"apimonJ1"
_HEAD = struct.Struct("<II")
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

        Raises StoreError where a frame is damaged that isn't at the end of the last file.
        """
        numbers = self._numbers()
        for number in numbers:
            if number < since.number:
                continue
            path = self._path(number)
            data = path.read_bytes()
            offset = max(since.offset, len(MAGIC)) if number == since.number else len(MAGIC)
            for payload, end in _frames(data, offset):
                yield payload, Position(number, end)
                offset = end
            if offset < len(data):
                if number != numbers[-1]:
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

    def append(self, payloads: Sequence[bytes]) -> list[Position]:
        """Write the payloads and return, once all are on the disk, the position after each.

        Raises StoreError; then none of them will ever be replayed.
        """
        try:
            if self._position.offset > self._rotate_bytes:
                self._start_file(self._position.number + 1)
            return self._write(payloads)
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

    def _write(self, payloads: Sequence[bytes]) -> list[Position]:
        number, offset = self._position.number, self._position.offset
        start, ends = offset, []
        parts: list[bytes] = []
        for payload in payloads:
            parts += (_HEAD.pack(len(payload), zlib.crc32(payload)), payload)
            offset += _HEAD.size + len(payload)
            ends.append(Position(number, offset))
        try:
            self._disk.write(self._fd, b"".join(parts))
            self._disk.sync(self._fd)
        except OSError:
            # What reached the file must not be replayed: its sender was told that it isn't stored.
            os.ftruncate(self._fd, start)
            os.lseek(self._fd, start, os.SEEK_SET)
            raise
        self._position = Position(number, offset)
        return ends

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
        return sorted(int(path.stem.removeprefix("journal-")) for path in self._folder.glob("journal-[0-9]*.log"))


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _frames(data: bytes, offset: int) -> Iterator[tuple[bytes, int]]:
    if not data.startswith(MAGIC):
        return
    while offset + _HEAD.size <= len(data):
        size, checksum = _HEAD.unpack_from(data, offset)
        end = offset + _HEAD.size + size
        payload = data[offset + _HEAD.size : end]
        if end > len(data) or zlib.crc32(payload) != checksum:
            return
        yield payload, end
        offset = end


def _cut(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.truncate(offset)
        os.fsync(file.fileno())
