"""Tails whose clients read too slowly."""

import pytest

from apimon.loki.embedded.batches import StreamBatch
from apimon.loki.embedded.streams import StoredStream
from apimon.loki.embedded.tailing import TailedEntry, TailHub
from apimon.loki.model import Labels
from apimon.loki.wire.answers import CategorizedEntry

STREAM = StoredStream(1, {"app": "a"})


def show(labels: Labels, timestamp_ns: int, line: str, metadata: Labels) -> TailedEntry:
    return TailedEntry(labels, CategorizedEntry(timestamp_ns, line, metadata, {}))


def entries(count: int, line: str, first_ns: int = 0) -> StreamBatch:
    return StreamBatch(STREAM, range(first_ns, first_ns + count), [line] * count, [""] * count)


@pytest.mark.parametrize(("line", "kept"), [("x" * (4 << 20), 4), ("x", 10_000)], ids=["long lines", "many lines"])
async def test_what_waits_for_a_slow_client_is_bounded_and_the_rest_told_as_dropped(line: str, kept: int) -> None:
    hub = TailHub(1)
    tail = hub.join(lambda labels: True, show)
    hub.publish([entries(kept + 2, line)])
    taken, dropped = tail.take(kept + 2)
    assert [tailed.entry.timestamp_ns for tailed in taken] == list(range(kept))
    assert [(tailed.entry.timestamp_ns, tailed.entry.line) for tailed in dropped] == [(kept, ""), (kept + 1, "")]


async def test_a_client_that_caught_up_gets_everything_again() -> None:
    hub = TailHub(1)
    tail = hub.join(lambda labels: True, show)
    line = "x" * (5 << 20)
    for first_ns in (0, 3, 6):
        hub.publish([entries(3, line, first_ns)])
        taken, dropped = tail.take(3)
        assert (len(taken), dropped) == (3, [])
