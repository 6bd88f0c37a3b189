"""The journal: what comes back after a clean end, a torn one, a full disk."""

import errno
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apimon.errors import StoreError
from apimon.loki.embedded.journal import START, Disk, Journal, Position

_HEAD_BYTES = 12
_FILE_MAGIC_BYTES = 8


class FullDisk(Disk):
    """A disk that takes so many more bytes, and fails in the middle of a write like a real one."""

    def __init__(self) -> None:
        self.room: int | None = None
        self.broken_sync = False

    def write(self, fd: int, data: bytes) -> None:
        if self.room is not None and len(data) > self.room:
            super().write(fd, data[: self.room])
            raise OSError(errno.ENOSPC, "No space left on device")
        super().write(fd, data)

    def sync(self, fd: int) -> None:
        if self.broken_sync:
            raise OSError(errno.EIO, "Input/output error")
        super().sync(fd)


def reopen(folder: Path, since: Position = START) -> list[bytes]:
    return [payload for payload, _ in Journal(folder).replay(since)]


def opened(folder: Path, disk: Disk | None = None, rotate_bytes: int = 1 << 20) -> Journal:
    journal = Journal(folder, disk=disk, rotate_bytes=rotate_bytes)
    journal.open(START)
    return journal


def append_all(journal: Journal, *payloads: bytes) -> list[Position]:
    return [journal.append(payload) for payload in payloads]


def test_what_was_appended_is_replayed_in_order(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    append_all(journal, b"one", b"", b"three")
    assert reopen(tmp_path) == [b"one", b"", b"three"]


def test_replay_begins_at_the_position_it_is_given(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    first, _ = append_all(journal, b"one", b"two")
    assert reopen(tmp_path, first) == [b"two"]


def test_positions_of_replay_are_those_of_append(tmp_path: Path) -> None:
    appended = append_all(opened(tmp_path), b"one", b"two")
    assert [position for _, position in Journal(tmp_path).replay(START)] == appended


@pytest.mark.parametrize("cut", range(1, _HEAD_BYTES + 4))
@pytest.mark.parametrize("filling", [b"", bytes(30)], ids=["nothing", "zeros"])
def test_a_torn_end_loses_only_what_was_torn(tmp_path: Path, cut: int, filling: bytes) -> None:
    journal = opened(tmp_path)
    append_all(journal, b"kept", b"four")
    path = tmp_path / "journal-00000001.log"
    data = path.read_bytes()
    path.write_bytes(data[:-cut] + filling)
    assert reopen(tmp_path) == [b"kept"]
    assert path.read_bytes() == data[: -_HEAD_BYTES - 4], "the cut is made once"


@given(st.lists(st.binary(max_size=40), max_size=8), st.integers(0, 400), st.integers(1, 255))
def test_a_flipped_byte_never_changes_a_payload(
    tmp_path_factory: pytest.TempPathFactory, payloads: list[bytes], where: int, flip: int
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    append_all(opened(folder), *payloads)
    path = folder / "journal-00000001.log"
    data = bytearray(path.read_bytes())
    data[where % len(data)] ^= flip
    path.write_bytes(data)
    replayed = []
    try:
        for payload, _ in Journal(folder).replay(START):
            replayed.append(payload)
    except StoreError:
        in_file_magic = where % len(data) < _FILE_MAGIC_BYTES
        assert in_file_magic or len(replayed) < len(payloads) - 1, "a damaged last frame is taken for a torn one"
    else:
        assert len(replayed) >= len(payloads) - 1, "nothing else is cut"
    assert replayed == payloads[: len(replayed)]


@pytest.mark.parametrize("where", [0, 8, 13, 17, 21], ids=["file magic", "mark", "length", "checksum", "payload"])
def test_damage_before_a_whole_frame_is_refused_and_nothing_is_cut(tmp_path: Path, where: int) -> None:
    append_all(opened(tmp_path), b"one", b"two", b"three")
    path = tmp_path / "journal-00000001.log"
    data = bytearray(path.read_bytes())
    data[where] ^= 0x55
    path.write_bytes(data)
    with pytest.raises(StoreError, match=r"journal-00000001\.log is damaged at byte 8"):
        reopen(tmp_path)
    assert path.read_bytes() == data


def test_damage_before_the_last_file_is_refused_and_named(tmp_path: Path) -> None:
    journal = opened(tmp_path, rotate_bytes=10)
    journal.append(b"one")
    journal.append(b"two")
    first = tmp_path / "journal-00000001.log"
    first.write_bytes(first.read_bytes()[:-1])
    with pytest.raises(StoreError, match=r"journal-00000001\.log is damaged at byte 8"):
        reopen(tmp_path)


def test_a_file_of_another_magic_word_is_refused_and_not_cut(tmp_path: Path) -> None:
    path = tmp_path / "journal-00000001.log"
    path.write_bytes(b"apimonJ1 and frames of another format")
    with pytest.raises(StoreError, match="is damaged at byte 8"):
        reopen(tmp_path)
    assert path.stat().st_size > _FILE_MAGIC_BYTES


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "journal-00000001.log").mkdir()
    with pytest.raises(StoreError, match=r"cannot read the journal .*journal-00000001\.log: Is a directory"):
        reopen(tmp_path)


def test_other_names_are_not_the_journals(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    (tmp_path / "journal-1 copy.log").write_text("notes")
    journal.append(b"one")
    assert reopen(tmp_path) == [b"one"]


def test_files_that_are_folded_are_removed_and_the_open_one_stays(tmp_path: Path) -> None:
    journal = opened(tmp_path, rotate_bytes=10)
    journal.append(b"one")
    position = journal.append(b"two")
    journal.remove_before(position)
    assert [path.name for path in tmp_path.glob("journal-*")] == ["journal-00000002.log"]
    journal.remove_before(Position(99, 0))
    assert reopen(tmp_path) == [b"two"]


def test_a_new_file_is_behind_the_position_that_is_known(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.open(Position(7, 100))
    assert journal.position.number == 8


@pytest.mark.parametrize("room", [0, 3, 15])
def test_a_push_that_finds_no_room_is_not_replayed_and_the_next_one_is(tmp_path: Path, room: int) -> None:
    disk = FullDisk()
    journal = opened(tmp_path, disk)
    journal.append(b"before")
    disk.room = room
    with pytest.raises(StoreError, match="No space left on device"):
        journal.append(b"refused")
    disk.room = None
    journal.append(b"after")
    assert reopen(tmp_path) == [b"before", b"after"]


def test_a_push_that_does_not_reach_the_disk_is_not_replayed(tmp_path: Path) -> None:
    disk = FullDisk()
    journal = opened(tmp_path, disk)
    disk.broken_sync = True
    with pytest.raises(StoreError, match="Input/output error"):
        journal.append(b"refused")
    disk.broken_sync = False
    journal.append(b"after")
    assert reopen(tmp_path) == [b"after"]


def test_a_full_disk_at_rotation_leaves_the_old_file_in_use(tmp_path: Path) -> None:
    disk = FullDisk()
    journal = opened(tmp_path, disk, rotate_bytes=10)
    journal.append(b"before")
    disk.room = 0
    with pytest.raises(StoreError):
        journal.append(b"refused")
    disk.room = None
    journal.append(b"after")
    assert reopen(tmp_path) == [b"before", b"after"]
