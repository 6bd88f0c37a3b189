"""The entries in DuckDB: schema, opening, folding in, paging out, counting in columns, retention.

It knows streams by id only, and is not asked by two threads through one cursor: writing is one thread's, every reading
one has a cursor of its own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import orjson
from arro3.core import Array, DataType, Table

from apimon.errors import StoreError
from apimon.loki.embedded.journal import START, Position
from apimon.loki.embedded.streams import StoredStream

FORMAT = 1
"""Version of the tables below; a store of another one isn't opened."""

_MEMORY_LIMIT = "192MB"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS store.about (format INTEGER, journal_number BIGINT, journal_offset BIGINT);
CREATE TABLE IF NOT EXISTS store.streams (id INTEGER, labels VARCHAR);
CREATE TABLE IF NOT EXISTS store.entries (
    timestamp_ns BIGINT, seq BIGINT, stream_id INTEGER, line VARCHAR {packed}, metadata VARCHAR
);
"""
_INSERT = """
INSERT INTO store.entries SELECT timestamp_ns, seq, stream_id, line, metadata FROM rows
"""

EntryKey = tuple[int, int, str, str]
"""Stream id, Unix ns, line, metadata: two entries with the same are one."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Entries to insert, in columns; `seq` is the order in which they were accepted."""

    stream_ids: list[int]
    timestamps: list[int]
    lines: list[str]
    metadata: list[str]

    def __len__(self) -> int:
        return len(self.lines)

    def table(self, first_seq: int) -> Table:
        """Return the rows as Arrow, numbered from `first_seq`."""
        columns = {
            "timestamp_ns": Array(self.timestamps, DataType.int64()),
            "seq": Array(range(first_seq, first_seq + len(self)), DataType.int64()),
            "stream_id": Array(self.stream_ids, DataType.int32()),
            "line": Array(self.lines, DataType.string()),
            "metadata": Array(self.metadata, DataType.string()),
        }
        return Table.from_arrays(list(columns.values()), names=list(columns))


class Database:
    """One store file, or memory only (`path` None). Raises StoreError wherever DuckDB fails."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._connection = _connect(path)
        self._next_seq = self._scalar("SELECT coalesce(max(seq), 0) + 1 FROM store.entries")
        self._stored_streams: set[int] = {row[0] for row in self._fetch("SELECT id FROM store.streams")}

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Return a connection for a reading thread; it may be interrupted by another."""
        return self._connection.cursor()

    def position(self) -> Position:
        """Return up to where the journal is in here."""
        number, offset = self._fetch("SELECT journal_number, journal_offset FROM store.about")[0]
        return Position(number, offset)

    def streams(self) -> Iterator[StoredStream]:
        """Yield the streams that have entries, with the times they span."""
        spans = {
            row[0]: row[1:]
            for row in self._fetch(
                "SELECT stream_id, min(timestamp_ns), max(timestamp_ns) FROM store.entries GROUP BY stream_id"
            )
        }
        for stream_id, labels in self._fetch("SELECT id, labels FROM store.streams ORDER BY id"):
            if stream_id in spans:
                yield StoredStream(stream_id, orjson.loads(labels), *spans[stream_id])

    def fold(self, rows: Rows, streams: Sequence[StoredStream], position: Position) -> None:
        """Insert the rows, and the streams that aren't there yet, and note the journal's position: all or nothing."""
        fresh = [stream for stream in streams if stream.id not in self._stored_streams]
        connection = self._connection
        try:
            connection.begin()
            if fresh:
                labels = [orjson.dumps(stream.labels).decode() for stream in fresh]
                connection.execute(
                    "INSERT INTO store.streams SELECT unnest(?), unnest(?)", [[stream.id for stream in fresh], labels]
                )
            if len(rows):
                connection.register("rows", rows.table(self._next_seq))
                connection.execute(_INSERT)
            connection.execute(
                "UPDATE store.about SET journal_number = ?, journal_offset = ?", [position.number, position.offset]
            )
            connection.commit()
        except duckdb.Error as exc:
            self._recover()
            raise StoreError(f"cannot write the store{self._where()}: {_reason(exc)}") from exc
        self._stored_streams.update(stream.id for stream in fresh)
        self._next_seq += len(rows)

    def existing(self, keys: Sequence[tuple[int, int]]) -> set[EntryKey]:
        """Return the entries that have one of these (stream id, Unix ns) pairs."""
        times = [key[1] for key in keys]
        wanted = Table.from_arrays(
            [Array([key[0] for key in keys], DataType.int32()), Array(times, DataType.int64())],
            names=["stream_id", "timestamp_ns"],
        )
        try:
            self._connection.register("wanted", wanted)
            found = self._connection.execute(
                "SELECT stream_id, timestamp_ns, line, metadata FROM store.entries SEMI JOIN wanted "
                "USING (stream_id, timestamp_ns) WHERE timestamp_ns BETWEEN ? AND ?",
                [min(times), max(times)],
            ).fetchall()
        except duckdb.Error as exc:
            raise StoreError(f"cannot read the store{self._where()}: {_reason(exc)}") from exc
        return set(found)

    def delete_before(self, timestamp_ns: int) -> None:
        """Delete every entry older than this."""
        try:
            self._connection.execute("DELETE FROM store.entries WHERE timestamp_ns < ?", [timestamp_ns])
        except duckdb.Error as exc:
            raise StoreError(f"cannot write the store{self._where()}: {_reason(exc)}") from exc

    def close(self) -> None:
        """Close the file, everything in its main part."""
        try:
            if self._path is not None:
                self._connection.execute("CHECKPOINT store")
        except duckdb.Error:
            pass  # what was committed is in its log, and is read from there at the next start
        self._connection.close()

    def _recover(self) -> None:
        # A failure in the middle of a checkpoint invalidates the whole instance; a plain one only the transaction.
        try:
            self._connection.rollback()
            self._connection.execute("SELECT format FROM store.about").fetchall()
        except duckdb.Error:
            self._connection.close()
            self._connection = _connect(self._path)

    def _fetch(self, query: str) -> list[Any]:
        return self._connection.execute(query).fetchall()

    def _scalar(self, query: str) -> int:
        value = self._fetch(query)[0][0]
        return int(value)

    def _where(self) -> str:
        return f" {self._path}" if self._path else ""


def _connect(path: Path | None) -> duckdb.DuckDBPyConnection:
    try:
        connection = duckdb.connect(
            config={"memory_limit": _MEMORY_LIMIT, "threads": 2, "autoinstall_known_extensions": False,
                    "autoload_known_extensions": False}
        )  # fmt: skip
        connection.execute("SET checkpoint_threshold = '32MB'")
        if path is None:
            connection.execute("ATTACH ':memory:' AS store")
        else:
            connection.execute("SET temp_directory = " + _literal(str(path.parent / "spill")))
            # The oldest storage version that packs text with zstd.
            connection.execute(f"ATTACH {_literal(str(path))} AS store (STORAGE_VERSION 'v1.2.0')")
        connection.execute(_SCHEMA.format(packed="" if path is None else "USING COMPRESSION zstd"))
        if not connection.execute("SELECT 1 FROM store.about").fetchall():
            connection.execute("INSERT INTO store.about VALUES (?, ?, ?)", [FORMAT, START.number, START.offset])
        found = connection.execute("SELECT format FROM store.about").fetchall()[0][0]
    except (duckdb.Error, IndexError) as exc:
        raise StoreError(
            f"cannot open the store {path}: {_reason(exc)}; restore it from a copy, or move {path and path.parent} "
            "away to start with an empty one"
        ) from exc
    if found != FORMAT:
        connection.close()
        raise StoreError(f"the store {path} has format {found}, this apimon reads {FORMAT}: use the one that wrote it")
    return connection


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _reason(exc: BaseException) -> str:
    return " ".join(str(exc).split())[:300]
