"""The histogram: exact count, sum, minimum and maximum; percentiles within 1 %; merging loses nothing."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apimon.loadtest.histogram import Histogram, bucket_index, bucket_middle

nanoseconds = st.integers(min_value=0, max_value=1 << 45)
values = st.lists(nanoseconds, min_size=1, max_size=200)


def histogram_of(recorded: list[int]) -> Histogram:
    histogram = Histogram()
    for value in recorded:
        histogram.record(value)
    return histogram


def exact_percentile(recorded: list[int], percent: float) -> int:
    return sorted(recorded)[max(1, math.ceil(round(len(recorded) * percent / 100, 6))) - 1]


@given(nanoseconds)
def test_bucket_middle_is_within_half_a_percent_of_every_value(value: int) -> None:
    assert abs(bucket_middle(bucket_index(value)) - value) <= value / 200


@given(nanoseconds)
def test_bucket_index_rises_with_the_value_without_a_gap(value: int) -> None:
    assert bucket_index(value + 1) - bucket_index(value) in {0, 1}


@given(values, st.lists(st.floats(0, 100), min_size=1, max_size=6).map(sorted))
def test_percentiles_are_within_one_percent_of_the_nearest_rank(recorded: list[int], percents: list[float]) -> None:
    for percent, value in zip(percents, histogram_of(recorded).percentiles(percents), strict=True):
        exact = exact_percentile(recorded, percent)
        assert abs(value - exact) <= exact / 100


@given(values)
def test_count_sum_and_extremes_are_exact(recorded: list[int]) -> None:
    histogram = histogram_of(recorded)
    counted = (histogram.count, histogram.total, histogram.minimum, histogram.maximum)
    assert counted == (len(recorded), sum(recorded), min(recorded), max(recorded))
    assert histogram.mean == pytest.approx(sum(recorded) / len(recorded))


@given(st.lists(nanoseconds), st.lists(nanoseconds))
def test_merging_equals_recording_everything_in_one(first: list[int], second: list[int]) -> None:
    merged, whole = histogram_of(first), histogram_of(first + second)
    merged.merge(histogram_of(second))
    for name in Histogram.__slots__:
        assert getattr(merged, name) == getattr(whole, name)


def test_percentile_at_a_whole_rank_is_not_pushed_to_the_next_by_rounding() -> None:
    histogram = histogram_of(list(range(1, 101)))
    assert histogram.percentiles((7, 55, 99)) == [7, 55, 99]


def test_negative_values_count_as_zero() -> None:
    histogram = histogram_of([-5])
    assert (histogram.count, histogram.total, histogram.minimum, histogram.maximum) == (1, 0, 0, 0)


def test_memory_does_not_grow_with_the_number_of_values() -> None:
    histogram = Histogram()
    for value in range(1_000_000, 1_100_000):
        histogram.record(value)
    assert len(histogram.buckets) < 30
