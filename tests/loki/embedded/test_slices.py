"""Slices of time: together they are the range, and none holds much more than it should."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from apimon.loki.embedded.slices import plan_slices


def slices_of(times: list[int], start_ns: int, end_ns: int, *, newest_first: bool) -> list[tuple[int, int]]:
    def count(width_ns: int) -> list[tuple[int, int]]:
        inside = [time for time in times if start_ns <= time < end_ns]
        return sorted(Counter((time - start_ns) // width_ns for time in inside).items())

    return list(plan_slices(start_ns, end_ns, count, newest_first=newest_first))


@given(st.lists(st.integers(0, 50_000), max_size=300), st.integers(0, 20_000), st.integers(1, 60_000), st.booleans())
def test_every_entry_is_in_exactly_one_slice(
    times: list[int], start_ns: int, length_ns: int, newest_first: bool
) -> None:
    end_ns = start_ns + length_ns
    slices = slices_of(times, start_ns, end_ns, newest_first=newest_first)
    for time in times:
        holding = sum(low <= time < high for low, high in slices)
        assert holding == (start_ns <= time < end_ns)
    assert slices == sorted(slices, reverse=newest_first)
    assert all(start_ns <= low < high <= end_ns for low, high in slices)


def test_the_first_slice_is_small_and_the_last_are_bounded() -> None:
    times = list(range(500_000))
    slices = slices_of(times, 0, 500_000, newest_first=True)
    sizes = [high - low for low, high in slices]
    assert sizes[0] < 2_000
    assert max(sizes) < 33_000
    assert slices[0][1] == 500_000


def test_a_range_without_entries_has_no_slice() -> None:
    assert slices_of([], 0, 100, newest_first=False) == []
