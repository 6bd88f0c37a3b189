"""Think time and back-off, without a clock."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from apimon.loadtest.pacing import ThinkTime, backoff_s


def test_backoff_doubles_from_100_ms_up_to_a_second() -> None:
    assert [backoff_s(failures) for failures in range(1, 7)] == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


def test_backoff_stays_a_second_after_any_number_of_failures() -> None:
    assert backoff_s(1_000_000) == 1.0


@given(st.floats(0, 10), st.floats(0, 10), st.integers())
def test_think_time_lies_within_its_bounds(low: float, more: float, seed: int) -> None:
    assert low <= ThinkTime(low, low + more).draw_s(Random(seed)) <= low + more


def test_fixed_think_time_draws_no_random_number() -> None:
    random = Random(1)
    before = random.getstate()
    assert ThinkTime(0.5, 0.5).draw_s(random) == 0.5
    assert random.getstate() == before
