"""Accepted entries on their way into the store: stream by stream, in columns, and as a journal's payload."""

from collections.abc import Sequence
from dataclasses import dataclass

import cramjam
import orjson

from apimon.loki.embedded.streams import StoredStream, StreamCatalog
from apimon.loki.model import Labels


@dataclass(frozen=True, slots=True)
class StreamBatch:
    """Entries of one stream, in the order they came; the n-th of every column is one entry."""

    stream: StoredStream
    timestamps: Sequence[int]
    lines: Sequence[str]
    metadata: Sequence[str]
    """Structured metadata as JSON with sorted keys; empty where there is none."""


Accepted = Sequence[StreamBatch]
"""What one push left to be stored: it becomes durable as a whole."""


def count_entries(accepted: Accepted) -> int:
    """Return how many entries these are."""
    return sum(len(batch.lines) for batch in accepted)


def encode_accepted(accepted: Accepted) -> bytes:
    """Return the journal's payload: JSON in LZ4, which costs less than the disk saves."""
    rows = [[batch.stream.labels, batch.timestamps, batch.lines, batch.metadata] for batch in accepted]
    return bytes(cramjam.lz4.compress_block(orjson.dumps(rows)))


def decode_accepted(payload: bytes, catalog: StreamCatalog) -> Accepted:
    """Return what `encode_accepted` was given, its streams opened in `catalog`."""
    rows = orjson.loads(bytes(cramjam.lz4.decompress_block(payload)))
    return [StreamBatch(catalog.open(labels), timestamps, lines, meta) for labels, timestamps, lines, meta in rows]


def encode_metadata(metadata: dict[str, str] | None) -> str:
    """Return the canonical text of structured metadata, empty for none."""
    return orjson.dumps(metadata, option=orjson.OPT_SORT_KEYS).decode() if metadata else ""


def label_metadata(text: str, labels: Labels) -> dict[str, str]:
    """Return the structured metadata that `encode_metadata` was given, as it stands beside the stream's labels.

    A name that the stream has too gets `_extracted` behind it, as Loki shows it.
    """
    if not text:
        return {}
    return {name + "_extracted" * (name in labels): value for name, value in orjson.loads(text).items()}
