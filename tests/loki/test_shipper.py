"""The shipper as a whole: what is delivered, in which order, and that every record is accounted for."""

import os
import threading
from dataclasses import replace

import pytest

from apimon.loki.shipper import EncodedRecord, OverflowReason, PushAnswer, SealedBatch, Shipper
from tests.loki.shipper_support import (
    QUICK,
    ScriptedTransport,
    assert_adds_up,
    encode_text,
    entries_of,
    make_shipper,
)


def put_all(shipper: Shipper[str], count: int, start: int = 0) -> list[str]:
    lines = [f"line {number}" for number in range(start, start + count)]
    for line in lines:
        shipper.put(line)
    return lines


def test_delivers_every_record_once_and_in_order() -> None:
    transport = ScriptedTransport()
    shipper = make_shipper(transport)
    lines = put_all(shipper, 2_500)
    counts = shipper.drain()
    assert transport.lines() == lines
    assert counts.delivered == 2_500
    assert_adds_up(counts, 2_500)


def test_starts_no_thread_before_the_first_record() -> None:
    before = threading.active_count()
    make_shipper(ScriptedTransport())
    assert threading.active_count() == before


def test_ships_without_being_drained() -> None:
    transport = ScriptedTransport()
    shipper = make_shipper(transport)
    shipper.put("one")
    assert transport.arrived.acquire(timeout=20)
    shipper.drain()
    assert transport.lines() == ["one"]


def test_batches_hold_no_more_than_the_limit() -> None:
    transport = ScriptedTransport()
    shipper = make_shipper(transport, replace(QUICK, batch_records=100, linger_s=30))
    put_all(shipper, 250)
    shipper.drain()
    assert [len(entries_of(body)) for body in transport.taken] == [100, 100, 50]


def test_batches_are_sealed_by_bytes() -> None:
    transport = ScriptedTransport()
    shipper = make_shipper(transport, replace(QUICK, batch_bytes=1_000, linger_s=30))
    for _ in range(4):
        shipper.put("x" * 600)
    shipper.drain()
    assert [len(entries_of(body)) for body in transport.taken] == [2, 2]


def test_timestamps_are_unique_and_rise() -> None:
    transport = ScriptedTransport()
    shipper = make_shipper(transport)
    put_all(shipper, 300)
    shipper.drain()
    stamps = [int(entry[0]) for body in transport.taken for entry in entries_of(body)]
    assert stamps == sorted(set(stamps))


@pytest.mark.parametrize(
    "outcome",
    [PushAnswer(429), PushAnswer(500), PushAnswer(503), PushAnswer(408), ConnectionRefusedError(), TimeoutError()],
    ids=repr,
)
def test_passing_failures_are_retried_with_the_same_bytes(outcome: PushAnswer | OSError) -> None:
    transport = ScriptedTransport(outcome, outcome)
    shipper = make_shipper(transport)
    shipper.put("one")
    counts = shipper.drain()
    assert transport.bodies == [transport.bodies[0]] * 3
    assert (counts.delivered, counts.retried) == (1, 2)
    assert counts.last_error


def test_transport_that_trips_over_its_own_header_is_retried_and_not_quoted() -> None:
    class TrippingTransport(ScriptedTransport):
        def push(self, body: bytes, timeout_s: float) -> PushAnswer:
            if not self.bodies:
                self.bodies.append(body)
                raise ValueError("Invalid header value b'Bearer s3cret'")
            return super().push(body, timeout_s)

    transport = TrippingTransport()
    shipper = make_shipper(transport)
    shipper.put("one")
    counts = shipper.drain()
    assert transport.lines() == ["one"]
    assert counts.last_error == "no push could be made: ValueError"


def test_records_after_an_outage_come_behind_those_from_before() -> None:
    transport = ScriptedTransport(*[ConnectionRefusedError()] * 5)
    shipper = make_shipper(transport, replace(QUICK, batch_records=10))
    before = put_all(shipper, 50)
    for _ in range(5):
        assert transport.arrived.acquire(timeout=20)
    after = put_all(shipper, 50, start=50)
    assert_adds_up(shipper.drain(), 100)
    assert transport.lines() == before + after


@pytest.mark.parametrize("status", [400, 401, 413, 404, 302])
def test_refused_pushes_are_counted_and_not_sent_again(status: int) -> None:
    transport = ScriptedTransport(PushAnswer(status, "entry too old"))
    shipper = make_shipper(transport, replace(QUICK, batch_records=1))
    put_all(shipper, 2)
    counts = shipper.drain()
    assert counts.rejected == {f"status_{status}": 1}
    assert "entry too old" in counts.last_error
    assert transport.lines() == ["line 1"]
    assert_adds_up(counts, 2)


def test_a_record_that_cannot_be_encoded_costs_no_other() -> None:
    transport = ScriptedTransport()
    shipper = make_shipper(transport)
    for text in ("a", "unencodable", "b"):
        shipper.put(text)
    counts = shipper.drain()
    assert transport.lines() == ["a", "b"]
    assert counts.dropped == {"encoding_failed": 1}
    assert "TypeError" in counts.last_error
    assert_adds_up(counts, 3)


def test_full_queue_drops_the_oldest() -> None:
    transport = ScriptedTransport()
    encoding, go_on = threading.Event(), threading.Event()

    def encode(text: str) -> EncodedRecord:
        encoding.set()
        assert go_on.wait(20)
        return encode_text(text)

    shipper = make_shipper(transport, replace(QUICK, queue_records=10), encode)
    shipper.put("first")
    assert encoding.wait(20)
    lines = put_all(shipper, 25)
    counts = shipper.counts()
    assert counts.dropped == {"queue_full": 15}
    assert_adds_up(counts, 26)
    go_on.set()
    assert_adds_up(shipper.drain(), 26)
    assert transport.lines() == ["first", *lines[15:]]


class KeepingOverflow:
    def __init__(self, *, keeps: bool) -> None:
        self.keeps = keeps
        self.batches: list[tuple[SealedBatch, OverflowReason]] = []
        self.arrived = threading.Semaphore(0)

    def keep(self, batch: SealedBatch, reason: OverflowReason, /) -> bool:
        self.batches.append((batch, reason))
        self.arrived.release()
        return self.keeps


def test_full_backlog_gives_its_oldest_batches_to_the_overflow() -> None:
    transport = ScriptedTransport()
    transport.gate.clear()
    overflow = KeepingOverflow(keeps=True)
    limits = replace(QUICK, batch_records=1, backlog_bytes=300)
    shipper = Shipper(encode_text, transport, limits=limits, overflow=overflow)
    shipper.put("in flight")
    assert transport.arrived.acquire(timeout=20)
    lines = put_all(shipper, 30)
    for _ in range(20):
        assert overflow.arrived.acquire(timeout=20)
    transport.gate.set()
    counts = shipper.drain()
    kept = [entry[1] for batch, _ in overflow.batches for entry in entries_of(batch.body)]
    assert {reason for _, reason in overflow.batches} == {OverflowReason.BACKLOG_FULL}
    delivered = transport.lines()
    assert (delivered[0], kept[0], delivered[-1]) == ("in flight", lines[0], lines[-1])
    assert sorted([*delivered[1:], *kept]) == sorted(lines)
    assert [line for line in lines if line in kept] == kept
    assert counts.kept == len(kept)
    assert_adds_up(counts, 31)


def test_drain_gives_up_at_its_deadline_and_says_what_was_lost() -> None:
    transport = ScriptedTransport(default=ConnectionRefusedError("down"))
    shipper = make_shipper(transport)
    put_all(shipper, 1_500)
    counts = shipper.drain(0.3)
    assert counts.dropped == {"shutdown": 1_500}
    assert counts.lost == 1_500
    assert_adds_up(counts, 1_500)


def test_drain_offers_the_rest_to_the_overflow() -> None:
    overflow = KeepingOverflow(keeps=True)
    shipper = Shipper(encode_text, ScriptedTransport(default=PushAnswer(500)), limits=QUICK, overflow=overflow)
    put_all(shipper, 10)
    counts = shipper.drain(0.2)
    assert [reason for _, reason in overflow.batches] == [OverflowReason.SHUTDOWN]
    assert (counts.kept, counts.lost) == (10, 0)
    assert_adds_up(counts, 10)


def test_drain_waits_no_longer_than_told_for_a_push_that_hangs() -> None:
    transport = ScriptedTransport()
    transport.gate.clear()
    shipper = make_shipper(transport)
    shipper.put("one")
    assert transport.arrived.acquire(timeout=20)
    counts = shipper.drain(0.1)
    assert counts.in_flight == 1
    assert_adds_up(counts, 1)
    transport.gate.set()


def test_hanging_loki_does_not_stop_the_packing() -> None:
    transport = ScriptedTransport()
    transport.gate.clear()
    shipper = make_shipper(transport, replace(QUICK, queue_records=50))
    for batch in range(20):
        encoded = shipper.counts().recorded
        put_all(shipper, 50, batch * 50)
        while shipper._queue:  # the packing thread empties it, though no push returns
            threading.Event().wait(0.001)
        assert shipper.counts().recorded == encoded + 50
    assert shipper.counts().dropped == {}
    transport.gate.set()
    assert_adds_up(shipper.drain(), 1_000)
    assert len(transport.lines()) == 1_000


def test_put_works_again_after_a_drain() -> None:
    transport = ScriptedTransport()
    shipper = make_shipper(transport)
    shipper.put("one")
    shipper.drain()
    shipper.put("two")
    assert_adds_up(shipper.drain(), 2)
    assert transport.lines() == ["one", "two"]


def test_records_of_many_threads_all_arrive() -> None:
    transport = ScriptedTransport()
    shipper = make_shipper(transport)
    threads = [threading.Thread(target=put_all, args=(shipper, 200, number * 200)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert_adds_up(shipper.drain(), 1_600)
    assert sorted(transport.lines()) == sorted(f"line {number}" for number in range(1_600))


def test_every_snapshot_adds_up_while_records_move() -> None:
    transport = ScriptedTransport(*(PushAnswer(429), ConnectionResetError(), PushAnswer(204)) * 20)
    shipper = make_shipper(transport, replace(QUICK, batch_records=20, queue_records=100))
    for number in range(3_000):
        shipper.put(f"line {number}")
        if number % 7 == 0:
            assert_adds_up(shipper.counts(), number + 1)
    assert_adds_up(shipper.drain(), 3_000)


def test_forked_child_starts_empty_and_ships_its_own() -> None:
    transport = ScriptedTransport()
    shipper = make_shipper(transport, replace(QUICK, linger_s=30))
    shipper.put("the parent's")
    pid = os.fork()
    if pid == 0:
        is_empty = shipper.counts().recorded == 0
        transport.taken.clear()
        shipper.put("the child's")
        shipper.drain()
        os._exit(0 if is_empty and transport.lines() == ["the child's"] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    shipper.drain()
    assert transport.lines() == ["the parent's"]


def test_outage_is_said_once_and_its_end_too(caplog: pytest.LogCaptureFixture) -> None:
    transport = ScriptedTransport(*[ConnectionRefusedError("refused")] * 4)
    shipper = make_shipper(transport)
    shipper.put("one")
    shipper.drain()
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert "refused" in said[0]
    assert "again" in said[1]
