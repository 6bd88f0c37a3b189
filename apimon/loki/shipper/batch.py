"""Batches: encoded entries grouped by stream, then sealed into the bytes of one push."""

from dataclasses import dataclass
from typing import NamedTuple

from apimon.loki.wire.push_encode import compress_push, encode_entry, join_push


class EncodedRecord(NamedTuple):
    """A record as Loki will see it."""

    labels: bytes
    """The label set as `encode_labels` gives it; equal bytes are the same stream."""
    timestamp_ns: int
    """When it happened; the shipper makes it unique."""
    line: str


@dataclass(frozen=True, slots=True)
class SealedBatch:
    """A push's compressed body; a retry sends the same bytes, so that Loki can tell a repeated entry from a new one."""

    body: bytes
    records: int


class OpenBatch:
    """Entries on their way into one push, each stream's in the order they came."""

    def __init__(self) -> None:
        self.records = 0
        self.size = 0
        """Bytes of the entries so far."""
        self._parts: dict[bytes, list[bytes]] = {}

    def add(self, labels: bytes, timestamp_ns: int, line: str) -> None:
        """Add one entry."""
        entry = encode_entry(timestamp_ns, line)
        entries = self._parts.get(labels)
        if entries is None:
            entries = self._parts[labels] = []
        entries.append(entry)
        self.records += 1
        self.size += len(entry)

    def seal(self) -> SealedBatch:
        """Return the push of everything added."""
        return SealedBatch(compress_push(join_push(self._parts)), self.records)
