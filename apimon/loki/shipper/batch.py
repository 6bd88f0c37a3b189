"""Batches: encoded entries grouped by stream, then sealed into the bytes of one push."""

from dataclasses import dataclass
from typing import NamedTuple

from apimon.loki.wire.push_encode import PushCompressor, encode_entry


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
    """Entries on their way into one push, each stream's in the order they came.

    They are compressed a few at a time: kept as they are, a batch would be a megabyte of fresh memory each time, and to
    touch that costs more than to encode it.
    """

    def __init__(self) -> None:
        self.records = 0
        self.size = 0
        """Bytes of the entries so far, before compression."""
        self._push = PushCompressor()
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

    def compress(self) -> None:
        """Compress what was added since the last call."""
        if self._parts:
            self._push.add(self._parts)
            self._parts = {}

    def seal(self) -> SealedBatch:
        """Return the push of everything added, which must be something."""
        self.compress()
        return SealedBatch(self._push.finish(), self.records)
