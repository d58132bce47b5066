"""Intervals have their nominal coverage."""

import math

import numpy as np
import pytest

from timbrel.metrics.intervals import Interval, bootstrap


def _coverage(draw, true_mean: float, trials: int = 400) -> float:
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(trials):
        interval = bootstrap(draw(rng), rng, 300)
        inside += interval.low <= true_mean <= interval.high
    return inside / trials


@pytest.mark.parametrize(("n", "promised"), [(5, 0.91), (9, 0.94), (30, 0.95)])
def test_normal_values_are_covered_as_promised(n: int, promised: float) -> None:
    """400 trials: a standard error of 1.2 %. The plain bootstrap covers 84 % at n = 5."""
    assert _coverage(lambda rng: rng.normal(2.0, 3.0, n), 2.0) == pytest.approx(promised, abs=0.03)


def test_skewed_values_are_covered_nearly_as_promised() -> None:
    assert 0.85 < _coverage(lambda rng: rng.exponential(1.0, 9), 1.0) <= 0.98


def test_a_large_sample_has_the_normal_interval() -> None:
    values = np.random.default_rng(1).normal(0.0, 1.0, 2000)
    interval = bootstrap(values, np.random.default_rng(0), 4000)
    error = values.std() / math.sqrt(2000)
    assert interval.mean == pytest.approx(values.mean())
    assert interval.low == pytest.approx(values.mean() - 1.96 * error, abs=0.1 * error)
    assert interval.high == pytest.approx(values.mean() + 1.96 * error, abs=0.1 * error)
    narrow = bootstrap(values, np.random.default_rng(0), 4000, level=0.5)
    assert narrow.high - narrow.low == pytest.approx(2 * 0.6745 * error, rel=0.1)


def test_equal_values_have_no_width() -> None:
    assert bootstrap([1.5] * 7, np.random.default_rng(0), 50) == Interval(1.5, 1.5, 1.5, 7)


def test_one_value_has_no_interval() -> None:
    interval = bootstrap([4.0], np.random.default_rng(0), 1000)
    assert (interval.mean, interval.n) == (4.0, 1)
    assert math.isnan(interval.low)
    assert math.isnan(interval.high)


def test_two_values_bound_their_interval() -> None:
    """Student's interval of two is twelve deviations wide; no draw leaves the two values."""
    assert bootstrap([1.0, 2.0], np.random.default_rng(0), 500) == Interval(1.5, 1.0, 2.0, 2)


def test_the_generator_decides() -> None:
    values = np.arange(20.0)
    first = bootstrap(values, np.random.default_rng(5), 200)
    assert first == bootstrap(values, np.random.default_rng(5), 200)
    assert first != bootstrap(values, np.random.default_rng(6), 200)


@pytest.mark.parametrize(
    ("values", "settings"),
    [
        ([], {}),
        ([1.0, math.nan], {}),
        ([1.0, math.inf], {}),
        ([1.0, 2.0], {"draws": 0}),
        ([1.0, 2.0], {"level": 1.0}),
    ],
)
def test_what_has_no_mean_is_refused(values, settings) -> None:
    with pytest.raises(ValueError, match=r"finite|between 0 and 1"):
        bootstrap(values, np.random.default_rng(0), **{"draws": 10, **settings})
