"""The store: what is appended is durable before its future resolves, and every reader sees all that was acknowledged.

Two threads. One commits: it writes all pushes that wait into the journal with one sync. One folds: it moves what the
journal holds into the database, in large batches, the journal's position in the same transaction, so that a crash
neither loses nor doubles an entry. The layout on disk is known to this module and the two below it only:

    folder/format             the version, written when the store was created
    folder/store.duckdb       the entries
    folder/journal-N.log      what isn't folded yet
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue

import duckdb

from apimon.errors import StoreError
from apimon.loki.embedded.batches import Accepted, count_entries, decode_accepted, encode_accepted
from apimon.loki.embedded.database import FORMAT, Database
from apimon.loki.embedded.folding import Newest, collect_rows
from apimon.loki.embedded.journal import START, Disk, Journal, Position, sync_folder
from apimon.loki.embedded.streams import StreamCatalog

DATABASE_FILE = "store.duckdb"
_FORMAT_FILE = "format"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StoreTuning:
    """How much waits before it is folded, and what is kept."""

    retention_ns: int | None = None
    """Entries older than this are deleted; None keeps everything."""
    fold_entries: int = 20_000
    """Fold as soon as this many entries wait."""
    fold_after_s: float = 1.0
    """Fold at the latest this long after an entry came."""
    max_waiting_entries: int = 200_000
    """A push waits, or fails where folding fails, while more than this wait."""
    housekeeping_s: float = 600.0
    """Seconds between two rounds of retention."""


@dataclass
class _Waiting:
    """What is durable and not folded: shared by the committing and the folding thread, under `changed`."""

    changed: threading.Condition = field(default_factory=threading.Condition)
    groups: deque[tuple[Accepted, Position]] = field(default_factory=deque)
    """Pushes that got durable together, with the journal's position after them."""
    entries: int = 0
    added: int = 0
    """Groups ever added; a reader waits until `folded` has come so far."""
    folded: int = 0
    wanted: int = 0
    """A reader wants everything up to this group folded at once."""
    failures: int = 0
    failure: StoreError | None = None
    """Why the last attempt to fold failed; None after one that didn't."""
    closing: bool = False


class Store:
    """One folder's entries, or, where the folder is None, the memory's. Raises StoreError where it can't be opened."""

    def __init__(
        self,
        folder: Path | None,
        *,
        tuning: StoreTuning | None = None,
        disk: Disk | None = None,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.catalog = StreamCatalog()
        self._tuning = tuning or StoreTuning()
        self._clock_ns = clock_ns
        self._database = _open_database(folder)
        for stream in self._database.streams():
            self.catalog.restore(stream)
        self._newest = Newest({stream.id: stream.newest_ns for stream in self.catalog.all()})
        self._waiting = _Waiting()
        self._folded_to = self._database.position()
        self._journal = self._open_journal(folder, disk) if folder else None
        self._pushes: SimpleQueue[tuple[Accepted, Future[None]] | None] = SimpleQueue()
        self._committer = threading.Thread(target=self._commit_forever, name="store-commit", daemon=True)
        self._folder = threading.Thread(target=self._fold_forever, name="store-fold", daemon=True)
        self._committer.start()
        self._folder.start()

    def append(self, accepted: Accepted) -> "Future[None]":
        """Return a future that resolves once the entries are durable, or fails with StoreError and none is stored."""
        done: Future[None] = Future()
        self._pushes.put((accepted, done))
        return done

    def settle(self) -> None:
        """Return once everything acknowledged so far can be read; raises StoreError where it can't be stored."""
        waiting = self._waiting
        with waiting.changed:
            target, failures = waiting.added, waiting.failures
            if waiting.folded >= target:
                return
            waiting.wanted = max(waiting.wanted, target)
            waiting.changed.notify_all()
            waiting.changed.wait_for(lambda: waiting.folded >= target or waiting.failures > failures)
            if waiting.folded < target and waiting.failure is not None:
                raise waiting.failure

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Return a connection for one reading thread, on the tables that `selection` knows."""
        return self._database.cursor()

    def close(self) -> None:
        """Store what was accepted and close the files; what can't be folded stays in the journal."""
        self._pushes.put(None)
        self._committer.join()
        with self._waiting.changed:
            self._waiting.closing = True
            self._waiting.changed.notify_all()
        self._folder.join()
        self._database.close()
        if self._journal is not None:
            self._journal.close(delete=not self._waiting.groups)

    def _open_journal(self, folder: Path, disk: Disk | None) -> Journal:
        journal = Journal(folder, disk=disk)
        for payload, position in journal.replay(self._folded_to):
            accepted = decode_accepted(payload, self.catalog)
            for batch in accepted:
                batch.stream.widen(min(batch.timestamps), max(batch.timestamps))
            self._add(accepted, position)
        journal.open(self._folded_to)
        return journal

    def _add(self, accepted: Accepted, position: Position) -> None:
        waiting = self._waiting
        with waiting.changed:
            waiting.groups.append((accepted, position))
            waiting.added += 1
            waiting.entries += count_entries(accepted)
            waiting.changed.notify_all()

    def _commit_forever(self) -> None:
        while (first := self._pushes.get()) is not None:
            group = [first]
            last = False
            try:
                while (more := self._pushes.get_nowait()) is not None:
                    group.append(more)
                last = True
            except Empty:
                pass
            self._commit(group)
            if last:
                return

    def _commit(self, group: "list[tuple[Accepted, Future[None]]]") -> None:
        try:
            self._wait_for_room()
            # One frame, since they get durable together: the journal takes a torn frame for one never acknowledged.
            batches = [batch for accepted, _ in group for batch in accepted]
            self._add(batches, self._journal.append(encode_accepted(batches)) if self._journal else START)
        except Exception as exc:  # whatever it is, every sender has to hear of it, and the thread has to live
            for _, done in group:
                done.set_exception(exc)
            return
        for _, done in group:
            done.set_result(None)

    def _wait_for_room(self) -> None:
        waiting, limit = self._waiting, self._tuning.max_waiting_entries
        with waiting.changed:
            waiting.changed.wait_for(lambda: waiting.entries < limit or waiting.failure is not None)
            if waiting.entries >= limit and waiting.failure is not None:
                raise waiting.failure

    def _fold_forever(self) -> None:
        waiting, tuning = self._waiting, self._tuning
        next_cleaning_s = time.monotonic()
        while True:
            with waiting.changed:
                waiting.changed.wait_for(self._should_fold, timeout=tuning.fold_after_s)
                closing, due = waiting.closing, bool(waiting.groups)
            folded = self._fold() if due else True
            if closing and (not folded or not waiting.groups):
                return
            if time.monotonic() >= next_cleaning_s:
                self._clean()
                next_cleaning_s = time.monotonic() + tuning.housekeeping_s

    def _should_fold(self) -> bool:
        waiting = self._waiting
        if waiting.closing:
            return True
        if waiting.failure is not None:
            return False  # not again before the time-out
        return waiting.entries >= self._tuning.fold_entries or waiting.wanted > waiting.folded

    def _fold(self) -> bool:
        waiting = self._waiting
        groups = self._take_fold()
        position = groups[-1][1]
        batches = [batch for accepted, _ in groups for batch in accepted if batch.lines]
        try:
            rows = collect_rows(batches, self._newest, self._database.existing)
            streams = list({batch.stream.id: batch.stream for batch in batches}.values())
            self._database.fold(rows, streams, position)
        except Exception as exc:  # whatever it is, readers that wait have to hear of it, and the thread has to live
            with waiting.changed:
                waiting.failure = exc if isinstance(exc, StoreError) else StoreError(f"cannot store what came: {exc!r}")
                waiting.failures += 1
                waiting.changed.notify_all()
            return False
        self._folded_to = position
        with waiting.changed:
            for _ in groups:
                waiting.entries -= count_entries(waiting.groups.popleft()[0])
            waiting.folded += len(groups)
            waiting.failure = None
            waiting.changed.notify_all()
        if self._journal is not None:
            self._journal.remove_before(position)
        return True

    def _take_fold(self) -> list[tuple[Accepted, Position]]:
        # As much as one fold should hold in memory; what is taken stays in the queue until it is in the database.
        taken, entries = [], 0
        with self._waiting.changed:
            for group in self._waiting.groups:
                taken.append(group)
                entries += count_entries(group[0])
                if entries >= 2 * self._tuning.fold_entries:
                    break
        return taken

    def _clean(self) -> None:
        if self._tuning.retention_ns is None:
            return
        try:
            self._database.delete_before(self._clock_ns() - self._tuning.retention_ns)
        except StoreError as exc:
            _log.warning("%s; what is older than the retention is deleted later", exc)


def _open_database(folder: Path | None) -> Database:
    if folder is None:
        return Database(None)
    path, marker = folder / DATABASE_FILE, folder / _FORMAT_FILE
    try:
        _check_format(path, marker)
        database = Database(path)
        if not marker.exists():
            marker.write_text(f"{FORMAT}\n")
            sync_folder(folder)
    except OSError as exc:
        raise StoreError(f"cannot open the store in {folder}: {exc.strerror or exc}; check its rights") from exc
    return database


def _check_format(path: Path, marker: Path) -> None:
    """Refuse a folder of another format, and one whose database is gone: a new one would hide the loss."""
    if not marker.exists():
        # The marker comes before the first push: a start that was killed left this, and nothing is in it.
        if path.exists() and path.stat().st_size == 0:
            path.unlink()
        return
    found = marker.read_text("utf-8", "replace").strip()
    if found != str(FORMAT):
        raise StoreError(
            f"the store in {path.parent} has format {found!r}, this apimon reads {FORMAT}: use the apimon that wrote it"
        )
    if not path.exists() or path.stat().st_size == 0:
        raise StoreError(
            f"the store {path} is missing or empty: restore it from a copy, or move {path.parent} away to start with "
            "an empty one"
        )
