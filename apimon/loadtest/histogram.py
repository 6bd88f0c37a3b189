"""A mergeable histogram of whole numbers with a bounded relative error, whatever their range.

Buckets are those of an HDR histogram: each power of two is cut into 128 equal parts, so that a bucket's middle is
within 1/256 (0.4 %) of every value in it. Count, sum, minimum and maximum are exact. Memory grows with the number of
different magnitudes seen, not with the number of values.
"""

import math
from collections.abc import Sequence

_SUB_BITS = 7
_EXACT_BITS = _SUB_BITS + 1
_EXACT_LIMIT = 1 << _EXACT_BITS


def bucket_index(value: int) -> int:
    """Return the bucket of a value >= 0; rises with the value, and below 256 is the value itself."""
    shift = value.bit_length() - _EXACT_BITS
    return value if shift <= 0 else (shift << _SUB_BITS) + (value >> shift)


def bucket_middle(index: int) -> int:
    """Return the value that stands for every value in the bucket."""
    if index < _EXACT_LIMIT:
        return index
    shift = (index >> _SUB_BITS) - 1
    return ((index - (shift << _SUB_BITS)) << shift) + (1 << shift >> 1)


class Histogram:
    """Counts of values >= 0 (here: nanoseconds)."""

    __slots__ = ("buckets", "count", "maximum", "minimum", "total")

    def __init__(self) -> None:
        self.buckets: dict[int, int] = {}
        self.count = 0
        self.total = 0
        self.minimum = 0
        self.maximum = 0

    def record(self, value: int) -> None:
        """Count one value; what is below 0 counts as 0."""
        if value < 0:
            value = 0
        # bucket_index, written out: a call costs as much as the arithmetic, and this runs twice a request.
        shift = value.bit_length() - _EXACT_BITS
        index = value if shift <= 0 else (shift << _SUB_BITS) + (value >> shift)
        buckets = self.buckets
        buckets[index] = buckets.get(index, 0) + 1
        if not self.count or value < self.minimum:
            self.minimum = value
        if value > self.maximum:
            self.maximum = value
        self.count += 1
        self.total += value

    def merge(self, other: "Histogram") -> None:
        """Add everything that `other` has counted; the result is as if all had been recorded here."""
        if not other.count:
            return
        for index, count in other.buckets.items():
            self.buckets[index] = self.buckets.get(index, 0) + count
        self.minimum = min(self.minimum, other.minimum) if self.count else other.minimum
        self.maximum = max(self.maximum, other.maximum)
        self.count += other.count
        self.total += other.total

    @property
    def mean(self) -> float:
        """The exact mean; 0 where nothing was recorded."""
        return self.total / self.count if self.count else 0.0

    def percentiles(self, percents: Sequence[float]) -> list[int]:
        """Return the value at each percent (0 to 100, rising), by nearest rank, within 0.4 %; needs count > 0."""
        values, seen = [], 0
        buckets = iter(sorted(self.buckets.items()))
        index = 0
        for percent in percents:
            # Rounded first: 7 % of 100 is 7.000000000000001 in binary, and that is not rank 8.
            rank = max(1, math.ceil(round(self.count * percent / 100, 6)))
            while seen < rank:
                index, count = next(buckets)
                seen += count
            values.append(min(max(bucket_middle(index), self.minimum), self.maximum))
        return values
