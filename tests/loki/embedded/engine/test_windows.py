"""Windows against the plainest way to say what they are, and quantiles against their definition."""

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apimon.loki.embedded.engine.table import Steps
from apimon.loki.embedded.engine.windows import (
    Samples,
    aggregate_windows,
    count_windows,
    find_quantile,
    find_variance,
)

times = st.lists(st.integers(0, 200), max_size=30).map(sorted)
grids = st.builds(Steps, st.integers(-20, 220), st.integers(1, 40), st.integers(1, 20))
numbers = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20)


@given(times, grids, st.integers(0, 100))
def test_window_holds_what_lies_after_its_start_and_up_to_its_step(
    times_ns: list[int], steps: Steps, range_ns: int
) -> None:
    expected = {}
    for index in range(steps.count):
        held = [time for time in times_ns if steps.at(index) - range_ns < time <= steps.at(index)]
        if held:
            expected[index] = len(held)
    samples = Samples(times_ns, [float(time) for time in times_ns])
    assert count_windows(samples, steps, range_ns) == expected
    assert aggregate_windows(samples, steps, range_ns, len) == expected


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(1, 10**5))
def test_range_steps_cover_the_range_with_multiples_of_the_step(start: int, length: int, step: int) -> None:
    steps = Steps.of_range(start, start + length, step)
    assert steps.start_ns % step == 0
    assert steps.start_ns <= start < steps.start_ns + step
    assert steps.end_ns - step < start + length <= steps.end_ns


@given(numbers)
def test_quantile_meets_the_ends_and_the_median(values: list[float]) -> None:
    assert find_quantile(values, 0) == min(values)
    assert find_quantile(values, 1) == max(values)
    assert find_quantile(values, 0.5) == pytest.approx(statistics.median(values))


@given(numbers)
def test_variance_is_the_populations(values: list[float]) -> None:
    assert find_variance(values) == pytest.approx(statistics.pvariance(values), abs=1e-3)
