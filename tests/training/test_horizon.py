"""The length of a training, measured at shares of its time, and the learning rate along it."""

import json
import math
from collections.abc import Callable
from itertools import pairwise

import pytest

from timbrel.training.horizon import SHARES, Horizon, Measured


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


def test_the_horizon_is_measured_by_the_pace_since_the_measurement_before() -> None:
    horizon = Horizon(max_time_s=100.0)
    assert not horizon.clock(9, 6.0)  # too few steps to know the pace
    assert not horizon.clock(10, 4.9)  # too little of the time
    assert horizon.rate(10, 1) == 1.0
    assert horizon.clock(20, 5.0)
    assert horizon.last_step == 20 + int(0.97 * 95.0 / 0.25)
    assert not horizon.clock(21, 14.9)
    assert not horizon.clock(29, 15.0)  # nine steps since
    assert horizon.clock(30, 15.0)  # a second a step now
    assert horizon.last_step == 30 + int(0.97 * 85.0)
    assert not horizon.clock(39, 29.9)
    assert horizon.clock(50, 60.0)  # two shares at once
    assert horizon.last_step == 50 + int(0.97 * 40.0 / (45.0 / 20))
    assert [item.step for item in horizon.measured] == [20, 30, 50]


def test_steps_that_run_ahead_of_the_clock_are_measured_too() -> None:
    """A machine that was a hundred times slower at first: measured once it would end at 7 %."""
    horizon = Horizon(max_time_s=1000.0)
    steps, rates, elapsed_s = _simulate(horizon, lambda now_s: 5.0 if now_s < 50 else 0.05)
    assert elapsed_s > 980
    assert steps > 18_000
    assert rates[-1] < 1e-3


def _simulate(horizon: Horizon, pace_s: Callable[[float], float]) -> tuple[int, list[float], float]:
    """Steps, rates and seconds of a training whose steps take `pace_s(now_s)`."""
    step, now_s = 0, 0.0
    rates: list[float] = []
    while not horizon.reached(step):
        rates.append(horizon.rate(step, 1))
        now_s += pace_s(now_s)
        step += 1
        horizon.clock(step, now_s)
    return step, rates, now_s


@pytest.mark.parametrize("later_s", [0.1, 0.05, 0.2])
@pytest.mark.parametrize("turn", [1 / 3, 0.6, 0.9])
def test_a_pace_that_changes_spends_the_time_and_the_rate(later_s: float, turn: float) -> None:
    """Steady, twice as fast, half as fast, from a share of the time on."""
    limit_s = 300.0
    horizon = Horizon(max_time_s=limit_s)
    _, rates, elapsed_s = _simulate(
        horizon, lambda now_s: 0.1 if now_s < turn * limit_s else later_s
    )
    assert 0.92 * limit_s <= elapsed_s <= limit_s + later_s
    assert rates[-1] <= 0.02


@pytest.mark.parametrize("later_s", [0.05, 0.2])
def test_the_rate_never_jumps_and_keeps_falling(later_s: float) -> None:
    horizon = Horizon(max_time_s=300.0)
    _, rates, _ = _simulate(horizon, lambda now_s: 0.1 if now_s < 100 else later_s)
    assert len(horizon.measured) == len(SHARES)
    start = horizon.measured[0].step
    steepest = max(
        math.pi / 2 / (item.last_step - item.step) for item in horizon.measured
    )  # of any piece, were it the whole cosine
    falls = [before - after for before, after in pairwise(rates[start:])]
    assert all(0.0 <= fall <= steepest for fall in falls)
    for item in horizon.measured[1:]:
        before = Horizon(max_time_s=300.0)
        before.measured = [other for other in horizon.measured if other.step < item.step]
        assert horizon.rate(item.step, 1) == before.rate(item.step, 1)  # where it is, bit for bit
        assert horizon.rate(item.step + 1, 1) < horizon.rate(item.step, 1)


def test_shares_of_the_training_follow_the_measurements() -> None:
    """A border that lies behind stays there; one to come moves with the horizon."""
    horizon = Horizon(max_time_s=100.0)
    assert horizon.step_at(0.5) is None
    horizon.measured = [Measured(50, 5.0, 1, 1000), Measured(600, 50.0, 4, 1400)]
    assert horizon.step_at(0.01) == 50  # nobody knew it before
    assert horizon.step_at(0.5) == 500
    assert horizon.step_at(0.6) == 600
    assert horizon.step_at(0.8) == 1000  # half of what was left at step 600
    assert horizon.step_at(1.0) == 1400


def test_a_run_that_slows_down_stops_at_the_limit() -> None:
    horizon = Horizon(max_time_s=100.0)
    horizon.clock(20, 5.0)
    assert horizon.clock(200, 95.0)
    assert horizon.last_step == 209  # two steps a second
    horizon.clock(201, 99.9)
    assert not horizon.reached(201)
    horizon.clock(202, 100.0)
    assert horizon.reached(202)


def test_a_slow_start_still_gets_a_horizon() -> None:
    """Ten steps only after most of the time is gone."""
    steps, rates = _run(Horizon(max_time_s=100.0), seconds_per_step=8.0)
    assert 10 < steps <= 13
    assert rates[-1] < 1.0


def test_an_older_checkpoint_keeps_what_it_measured() -> None:
    horizon = Horizon(max_time_s=100.0)
    horizon.restore({"last_step": None, "fixed_at_step": 0, "elapsed_s": 3.0})
    assert (horizon.last_step, horizon.elapsed_s) == (None, 3.0)
    horizon.restore({"last_step": 400, "fixed_at_step": 20, "elapsed_s": 30.0})
    assert not horizon.clock(200, 60.0)
    assert horizon.last_step == 400
    assert horizon.rate(210, 1) == pytest.approx(0.5)


@pytest.mark.parametrize(("max_steps", "expected"), [(100, 100), (10_000, 1916)])
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
    for step in range(1, 401):
        horizon.clock(step, step * 0.1 if step < 200 else step * 0.2 - 20.0)
    assert len(horizon.measured) == 4
    state = json.loads(json.dumps(horizon.state()))  # it goes through a file
    resumed = Horizon(max_time_s=100.0)
    resumed.restore(state)
    assert resumed == horizon
    for step in range(401, 521):  # killed and resumed, it measures the same
        assert resumed.clock(step, step * 0.2 - 20.0) == horizon.clock(step, step * 0.2 - 20.0)
    assert resumed == horizon
    assert len(horizon.measured) == 6
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
