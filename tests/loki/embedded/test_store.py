"""The store: durable, once each, in order, whatever happens to the process or the disk."""

import errno
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from apimon.errors import StoreError
from apimon.loki.embedded.journal import Disk
from apimon.loki.embedded.store import Store, StoreTuning
from apimon.loki.model import Direction
from tests.loki.embedded.store_support import append, batch, equal, select, store_file

A = {"app": "a"}
B = {"app": "b"}
LAZY = StoreTuning(fold_after_s=3600.0)
"""Folds only when a reader asks or when it closes."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path)
    yield opened
    opened.close()


def test_what_was_acknowledged_can_be_read_at_once(store: Store) -> None:
    append(store, A, (1, "one"), (2, "two"))
    assert select(store, equal("app", "a")) == [(1, "one"), (2, "two")]


def test_a_store_in_memory_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    store = Store(None)
    append(store, A, (1, "one"))
    assert select(store) == [(1, "one")]
    store.close()
    assert sorted(tmp_path.rglob("*")) == before


def test_entries_survive_a_clean_end_and_leave_no_journal(tmp_path: Path) -> None:
    first = Store(tmp_path)
    append(first, A, (1, "one"))
    first.close()
    assert not list(tmp_path.glob("journal-*"))
    second = Store(tmp_path)
    append(second, A, (2, "two"))
    assert select(second) == [(1, "one"), (2, "two")]
    assert len(second.catalog) == 1
    second.close()


def test_entries_of_one_time_keep_their_order_forward_and_turn_it_round_backward(store: Store) -> None:
    append(store, A, (5, "b"), (5, "a"))
    append(store, A, (5, "c"), (1, "first"))
    expected = [(1, "first"), (5, "b"), (5, "a"), (5, "c")]
    assert select(store) == expected
    assert select(store, direction=Direction.BACKWARD) == expected[::-1]


def test_exact_duplicates_are_stored_once_adjacent_or_not(store: Store) -> None:
    append(store, A, (1, "x"), (1, "x"), (2, "y"), (1, "x"))
    assert select(store) == [(1, "x"), (2, "y")]
    append(store, A, (2, "y"), (1, "x"), (3, "z"))
    assert select(store) == [(1, "x"), (2, "y"), (3, "z")]


def test_entries_that_differ_in_anything_are_all_kept(store: Store) -> None:
    append(store, A, (1, "x"))
    append(store, A, (1, "other line"))
    append(store, A, (1, "x"), trace="1")
    append(store, B, (1, "x"))
    assert len(select(store)) == 4


def test_duplicates_are_found_after_a_restart(tmp_path: Path) -> None:
    first = Store(tmp_path)
    append(first, A, (1, "x"), (2, "y"))
    first.close()
    second = Store(tmp_path)
    append(second, A, (1, "x"), (2, "y"), (3, "z"))
    assert select(second) == [(1, "x"), (2, "y"), (3, "z")]
    second.close()


def test_a_push_that_was_only_in_the_journal_is_there_after_a_crash(tmp_path: Path) -> None:
    crashed, copy = tmp_path / "crashed", tmp_path / "copy"
    crashed.mkdir()
    store = Store(crashed, tuning=LAZY)
    append(store, A, (1, "one"))
    append(store, A, (2, "two"))
    shutil.copytree(crashed, copy)
    store.close()
    recovered = Store(copy)
    assert select(recovered) == [(1, "one"), (2, "two")]
    recovered.close()


def test_what_was_folded_before_a_crash_is_not_doubled(tmp_path: Path) -> None:
    crashed, copy = tmp_path / "crashed", tmp_path / "copy"
    crashed.mkdir()
    store = Store(crashed, tuning=LAZY)
    append(store, A, (1, "one"))
    assert select(store) == [(1, "one")]
    append(store, A, (2, "two"))
    shutil.copytree(crashed, copy)
    store.close()
    recovered = Store(copy)
    assert select(recovered) == [(1, "one"), (2, "two")]
    recovered.close()


_CRASHER = """
import sys
from pathlib import Path
from apimon.loki.embedded.store import Store, StoreTuning
from tests.loki.embedded.store_support import batch
store = Store(Path(sys.argv[1]), tuning=StoreTuning(fold_entries=50, fold_after_s=0.001))
first = int(sys.argv[2])
for number in range(first, first + 100_000):
    store.append([batch(store, {"app": "a"}, [(number, f"line {number}")])]).result()
    print(number, flush=True)
"""


def test_kill_9_loses_and_doubles_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    acknowledged = -1
    for patience in (1, 40, 150):
        process = subprocess.Popen(
            [sys.executable, "-c", _CRASHER, str(tmp_path), str(acknowledged + 1)],
            stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3],
        )  # fmt: skip
        assert process.stdout is not None
        for _ in range(patience):
            acknowledged = int(process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)
        rest = process.stdout.read().split()
        acknowledged = max([acknowledged, *map(int, rest)])
        process.wait()
        process.stdout.close()
        store = Store(tmp_path)
        found = [timestamp_ns for timestamp_ns, _ in select(store)]
        store.close()
        # One more may have become durable before its acknowledgement was written.
        assert found in (list(range(acknowledged + 1)), list(range(acknowledged + 2)))
        acknowledged = found[-1]


class FullDisk(Disk):
    full = False

    def write(self, fd: int, data: bytes) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        super().write(fd, data)


def test_a_full_disk_refuses_the_push_and_recovers_when_there_is_room(tmp_path: Path) -> None:
    disk = FullDisk()
    store = Store(tmp_path, disk=disk)
    append(store, A, (1, "before"))
    disk.full = True
    with pytest.raises(StoreError, match="No space left on device"):
        append(store, A, (2, "refused"))
    assert select(store) == [(1, "before")]
    disk.full = False
    append(store, A, (3, "after"))
    assert select(store) == [(1, "before"), (3, "after")]
    store.close()


def refuse_folds(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail as DuckDB does on a full disk, for which it has no seam."""

    def refuse(*_: object) -> None:
        raise StoreError("cannot write the store: no room")

    monkeypatch.setattr(store._database, "fold", refuse)


def test_a_database_that_cannot_be_written_keeps_the_entries_in_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path, tuning=LAZY)
    refuse_folds(store, monkeypatch)
    append(store, A, (1, "one"))
    with pytest.raises(StoreError, match="no room"):
        select(store)
    monkeypatch.undo()
    store.close()
    reopened = Store(tmp_path)
    assert select(reopened) == [(1, "one")]
    reopened.close()


def test_pushes_fail_while_too_much_waits_for_a_database_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path, tuning=StoreTuning(fold_after_s=3600.0, max_waiting_entries=2))
    refuse_folds(store, monkeypatch)
    append(store, A, (1, "one"), (2, "two"))
    with pytest.raises(StoreError, match="no room"):
        store.settle()
    with pytest.raises(StoreError, match="no room"):
        append(store, A, (3, "three"))
    monkeypatch.undo()
    store.close()


def test_a_corrupt_store_is_refused_in_one_line_and_left_as_it_is(tmp_path: Path) -> None:
    Store(tmp_path).close()
    path = store_file(tmp_path)
    damaged = b"\0" * 64 + path.read_bytes()[64:]
    path.write_bytes(damaged)
    with pytest.raises(StoreError, match=r"cannot open the store .*store\.duckdb.*move .* away") as caught:
        Store(tmp_path)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == damaged


@pytest.mark.parametrize("loss", ["missing", "empty"])
def test_a_store_that_is_gone_is_not_replaced_by_an_empty_one(tmp_path: Path, loss: str) -> None:
    Store(tmp_path).close()
    path = store_file(tmp_path)
    path.unlink()
    if loss == "empty":
        path.touch()
    with pytest.raises(StoreError, match="missing or empty"):
        Store(tmp_path)


def test_the_empty_file_of_a_first_start_that_was_killed_is_begun_anew(tmp_path: Path) -> None:
    store_file(tmp_path).touch()
    store = Store(tmp_path)
    append(store, A, (1, "one"))
    assert select(store) == [(1, "one")]
    store.close()


def test_a_store_of_another_format_is_refused(tmp_path: Path) -> None:
    Store(tmp_path).close()
    (tmp_path / "format").write_text("2\n")
    with pytest.raises(StoreError, match="has format '2', this apimon reads 1"):
        Store(tmp_path)


def test_tables_of_another_format_are_refused(tmp_path: Path) -> None:
    Store(tmp_path).close()
    with duckdb.connect(str(store_file(tmp_path))) as connection:
        connection.execute("UPDATE about SET format = 7")
    with pytest.raises(StoreError, match="has format 7"):
        Store(tmp_path)


def test_retention_deletes_what_is_older_and_forgets_streams_at_the_next_start(tmp_path: Path) -> None:
    first = Store(tmp_path)
    append(first, A, (10, "old"))
    append(first, B, (100, "young"))
    first.close()
    second = Store(
        tmp_path, tuning=StoreTuning(retention_ns=50, housekeeping_s=0.0, fold_after_s=0.001), clock_ns=lambda: 100
    )
    append(second, B, (101, "younger"))
    # Retention runs on the folding thread, after a fold: the second settle waits for a later round.
    second.settle()
    append(second, B, (102, "youngest"))
    second.settle()
    assert select(second) == [(100, "young"), (101, "younger"), (102, "youngest")]
    second.close()
    third = Store(tmp_path)
    assert [stream.labels for stream in third.catalog.all()] == [B]
    third.close()


def test_many_pushes_at_once_are_all_stored(store: Store) -> None:
    futures = [store.append([batch(store, A, [(number, str(number))])]) for number in range(500)]
    for future in futures:
        future.result(timeout=30)
    assert [timestamp_ns for timestamp_ns, _ in select(store)] == list(range(500))


def test_folding_in_small_steps_changes_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path, tuning=StoreTuning(fold_entries=3, fold_after_s=0.001))
    for number in range(40):
        append(store, A, (number, "x"), (number, "x"), (max(0, number - 5), "x"))
    assert [timestamp_ns for timestamp_ns, _ in select(store)] == list(range(40))
    store.close()
