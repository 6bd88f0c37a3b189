"""Cut a time range into slices that hold about as many entries as a reader wants at once. Pure arithmetic."""

from collections.abc import Callable, Iterator

_SLOTS = 1024
_FIRST_ENTRIES = 1_000
_MAX_ENTRIES = 32_000
_GROWTH = 4

SlotCount = Callable[[int], list[tuple[int, int]]]
"""Given a slot's width in ns, returns (slot, entries) of the slots that have any, counted from the range's start."""


def plan_slices(start_ns: int, end_ns: int, count: SlotCount, *, newest_first: bool) -> Iterator[tuple[int, int]]:
    """Yield `[start, end)` slices of `[start_ns, end_ns)` in reading order; together they hold every entry.

    The first ones are small: most readers stop early. A slot that holds more than a slice should is a slice of its own.
    """
    width_ns = max(1, -(-(end_ns - start_ns) // _SLOTS))
    slots = count(width_ns)
    if newest_first:
        slots.reverse()
    target, held = _FIRST_ENTRIES, 0
    first: int | None = None
    for index, (slot, entries) in enumerate(slots):
        first = slot if first is None else first
        held += entries
        if held >= target or index == len(slots) - 1:
            low, high = min(first, slot), max(first, slot)
            yield start_ns + low * width_ns, min(end_ns, start_ns + (high + 1) * width_ns)
            first, held, target = None, 0, min(target * _GROWTH, _MAX_ENTRIES)
