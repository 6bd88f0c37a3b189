import pytest
from hypothesis import given
from hypothesis import strategies as st

from apimon.server.shop.simulation import Simulation


def draws(simulation: Simulation) -> list[float | bool]:
    return [draw for _ in range(20) for draw in (simulation.draw_delay_s(10, 50), simulation.draw_out_of_stock())]


@given(seed=st.integers(), worker=st.integers(0, 64))
def test_the_same_seed_and_worker_draw_the_same(seed: int, worker: int) -> None:
    assert draws(Simulation(seed=seed, worker=worker)) == draws(Simulation(seed=seed, worker=worker))


def test_workers_draw_sequences_of_their_own() -> None:
    assert draws(Simulation(seed=1, worker=0)) != draws(Simulation(seed=1, worker=1))


def test_without_a_seed_every_start_is_different() -> None:
    assert draws(Simulation()) != draws(Simulation())


@given(low=st.integers(0, 100), width=st.integers(0, 400), scale=st.floats(0, 3))
def test_a_delay_is_between_its_scaled_bounds(low: int, width: int, scale: float) -> None:
    delay_s = Simulation(delay_scale=scale).draw_delay_s(low, low + width)
    assert low * scale / 1000 <= delay_s + 1e-12
    assert delay_s <= (low + width) * scale / 1000 + 1e-12


def test_the_scale_does_not_move_the_shortages() -> None:
    slow, fast = Simulation(seed=7), Simulation(seed=7, delay_scale=0)
    assert draws(slow)[1::2] == draws(fast)[1::2]


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0), (1.0, 1000)])
def test_a_share_of_none_or_all_is_exact(share: float, expected: int) -> None:
    simulation = Simulation(stock_failure=share)
    assert sum(simulation.draw_out_of_stock() for _ in range(1000)) == expected


def test_one_purchase_in_ten_is_out_of_stock_by_default() -> None:
    simulation = Simulation(seed=1)
    assert 900 < sum(simulation.draw_out_of_stock() for _ in range(10_000)) < 1100
