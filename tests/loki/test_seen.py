"""What a tail has delivered is known again, within bounds."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from apimon.loki.model import Entry
from apimon.loki.seen import SeenEntries

LABELS = {"service": "a"}


def take_all(seen: SeenEntries, entries: list[Entry]) -> list[Entry]:
    source: Counter[int] = Counter()
    return [entry for entry in entries if seen.take(source, LABELS, entry)]


def test_a_second_source_gives_only_what_the_first_did_not() -> None:
    seen = SeenEntries(0)
    assert len(take_all(seen, [Entry(1, "a"), Entry(2, "b")])) == 2
    assert take_all(seen, [Entry(1, "a"), Entry(2, "b"), Entry(2, "c")]) == [Entry(2, "c")]


def test_entries_that_look_the_same_are_counted() -> None:
    seen = SeenEntries(0)
    same = Entry(1, "a")
    assert len(take_all(seen, [same, same])) == 2
    assert len(take_all(seen, [same, same, same])) == 1


def test_labels_tell_entries_apart_and_metadata_does_not() -> None:
    seen = SeenEntries(0)
    assert seen.take(Counter(), {"a": "b"}, Entry(1, "x"))
    assert seen.take(Counter(), {"a": "c"}, Entry(1, "x"))
    assert not seen.take(Counter(), {"a": "b"}, Entry(1, "x", {"detected_level": "info"}))


def test_what_is_older_than_the_floor_is_always_new() -> None:
    seen = SeenEntries(10)
    assert len(take_all(seen, [Entry(9, "a"), Entry(9, "a")])) == 2
    assert len(seen) == 0


def test_the_floor_follows_the_newest_entry_at_a_distance() -> None:
    seen = SeenEntries(0, span_ns=10)
    take_all(seen, [Entry(5, "old"), Entry(100, "new")])
    seen.forget(1000)
    assert (seen.floor_ns, len(seen)) == (90, 1)


def test_an_entry_from_the_future_does_not_lift_the_floor_over_the_present() -> None:
    seen = SeenEntries(0, span_ns=10)
    take_all(seen, [Entry(10_000, "future"), Entry(50, "now")])
    seen.forget(55)
    assert (seen.floor_ns, len(seen)) == (45, 2)


def test_an_idle_tail_keeps_its_floor() -> None:
    seen = SeenEntries(100, span_ns=10)
    seen.forget(10**9)
    assert seen.floor_ns == 100


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=300))
def test_memory_is_bounded_and_the_floor_stays_true(timestamps: list[int]) -> None:
    seen = SeenEntries(0, span_ns=10**6, max_entries=20)
    entries = [Entry(timestamp_ns, f"line {number}") for number, timestamp_ns in enumerate(timestamps)]
    source: Counter[int] = Counter()
    for entry in entries:
        seen.take(source, LABELS, entry)
        seen.forget(10_000, source)
        same_time = sum(timestamp_ns == seen.floor_ns for timestamp_ns in timestamps)
        assert len(seen) <= 20 + same_time
    again = [entry for entry in entries if entry.timestamp_ns >= seen.floor_ns]
    assert take_all(seen, again) == []


def test_what_a_source_has_not_reached_is_not_forgotten() -> None:
    seen = SeenEntries(0, max_entries=4)
    take_all(seen, [Entry(number, "line") for number in range(10)])
    seen.forget(100, reached_ns=3)
    assert (seen.floor_ns, len(seen)) == (3, 7)
    assert take_all(seen, [Entry(number, "line") for number in range(3, 10)]) == []
