"""The length of a training, measured once, and the learning rate along it."""

import json
import math
from itertools import pairwise

import pytest

from timbrel.training.horizon import Horizon


def _run(horizon: Horizon, seconds_per_step: float, *, warmup: int = 1) -> tuple[int, list[float]]:
    """Steps at a steady pace until the horizon is reached; their learning rates."""
    rates: list[float] = []
    step = 0
    while not horizon.reached(step):
        rates.append(horizon.rate(step, warmup))
        step += 1
        horizon.clock(step, step * seconds_per_step)
    return step, rates


def test_warm_up_is_a_straight_line() -> None:
    horizon = Horizon(max_steps=10_000)
    assert [horizon.rate(step, 4) for step in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    assert horizon.rate(0, 0) == 1.0


def test_with_max_steps_the_cosine_ends_at_the_last_step() -> None:
    horizon = Horizon(max_steps=1000)
    assert horizon.last_step == 1000
    assert horizon.rate(50, 1) == 1.0  # held for the twentieth that a clock would measure
    middle = (50 + 1000) // 2
    assert horizon.rate(middle, 1) == pytest.approx(0.5, abs=1e-9)
    assert horizon.rate(1000, 1) == 0.0
    assert horizon.rate(5000, 1) == 0.0
    quarter = 0.5 * (1 + math.cos(math.pi / 4))
    assert horizon.rate(50 + 95 * 5 // 2, 1) == pytest.approx(quarter, abs=1e-2)
    rates = [horizon.rate(step, 1) for step in range(50, 1001)]
    assert all(after < before for before, after in pairwise(rates))


def test_max_steps_alone_takes_exactly_that_many() -> None:
    steps, rates = _run(Horizon(max_steps=37), seconds_per_step=1.0)
    assert steps == 37
    assert 0.0 < rates[-1] < 0.01  # the step after the last would have none left


@pytest.mark.parametrize("pace_s", [0.05, 0.3, 1.0])
def test_a_time_limit_is_met_and_the_rate_is_spent(pace_s: float) -> None:
    horizon = Horizon(max_time_s=480.0)
    steps, rates = _run(horizon, pace_s)
    assert 0.96 * 480 < steps * pace_s <= 480
    assert rates[-1] < 1e-3
    assert horizon.last_step == steps


def test_the_horizon_is_measured_once() -> None:
    horizon = Horizon(max_time_s=100.0)
    assert not horizon.clock(9, 6.0)  # too few steps to know the pace
    assert not horizon.clock(10, 4.9)  # too little of the time
    assert horizon.rate(10, 1) == 1.0
    assert horizon.clock(20, 5.0)
    assert horizon.last_step == 20 + int(0.97 * 95.0 * 20 / 5.0)
    fixed = horizon.state()
    assert not horizon.clock(21, 50.0)  # ten times slower now: the curve stays
    assert (horizon.last_step, horizon.fixed_at_step) == (fixed["last_step"], 20)


def test_a_run_that_slows_down_stops_at_the_limit() -> None:
    horizon = Horizon(max_time_s=100.0)
    horizon.clock(20, 5.0)
    assert horizon.last_step is not None
    horizon.clock(200, 99.9)
    assert not horizon.reached(200)
    horizon.clock(201, 100.0)
    assert horizon.reached(201)
    assert horizon.last_step > 201


def test_a_slow_start_still_gets_a_horizon() -> None:
    """Ten steps only after most of the time is gone."""
    steps, rates = _run(Horizon(max_time_s=100.0), seconds_per_step=8.0)
    assert 10 < steps <= 13
    assert rates[-1] < 1.0


@pytest.mark.parametrize(("max_steps", "expected"), [(100, 100), (10_000, 1863)])
def test_of_two_limits_the_nearer_counts(max_steps: int, expected: int) -> None:
    horizon = Horizon(max_steps=max_steps, max_time_s=100.0)
    assert horizon.last_step is None
    steps, rates = _run(horizon, seconds_per_step=0.0521)
    assert steps == horizon.last_step
    assert steps == pytest.approx(expected, rel=0.01)
    assert rates[-1] < 1e-3  # spent, whichever limit it was


def test_fewer_steps_than_it_takes_to_measure() -> None:
    steps, _ = _run(Horizon(max_steps=5, max_time_s=1000.0), seconds_per_step=0.1)
    assert steps == 5


def test_a_resumed_run_follows_the_same_curve() -> None:
    horizon = Horizon(max_time_s=100.0)
    for step in range(1, 301):
        horizon.clock(step, step * 0.1)
    state = json.loads(json.dumps(horizon.state()))  # it goes through a file
    resumed = Horizon(max_time_s=100.0)
    resumed.restore(state)
    assert resumed == horizon
    assert not resumed.clock(301, 90.0)  # on a slower machine
    assert [resumed.rate(s, 50) for s in range(2000)] == [horizon.rate(s, 50) for s in range(2000)]


def test_restored_before_it_was_fixed_it_is_fixed_later() -> None:
    horizon = Horizon(max_time_s=100.0)
    horizon.clock(8, 2.0)
    resumed = Horizon(max_time_s=100.0)
    resumed.restore(horizon.state())
    assert resumed.last_step is None
    assert resumed.clock(20, 5.0)


def test_seconds_left() -> None:
    horizon = Horizon(max_time_s=100.0)
    assert horizon.left_s(0) == 100.0
    horizon.clock(5, 2.0)
    assert horizon.left_s(5) == 98.0
    horizon.clock(20, 5.0)
    assert horizon.last_step is not None
    assert horizon.left_s(20) == pytest.approx((horizon.last_step - 20) * 0.25)
    by_steps = Horizon(max_steps=40)
    assert by_steps.left_s(0) is None
    by_steps.clock(10, 5.0)
    assert by_steps.left_s(10) == 15.0


def test_without_any_limit_there_is_no_horizon() -> None:
    with pytest.raises(ValueError, match="max_steps or max_time_s"):
        Horizon()
