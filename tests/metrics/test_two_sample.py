"""The classifier's area: chance on one distribution, sure on two, and its null."""

import numpy as np
import pytest

from timbrel.metrics.two_sample import area_under_curve, two_sample


def drawn(n: int, seed: int, shift: float = 0.0, scale: float = 1.0) -> np.ndarray:
    return shift + scale * np.random.default_rng(seed).standard_normal((n, 13))


def told(one: np.ndarray, other: np.ndarray):
    return two_sample(one, other, np.random.default_rng(0))


def test_one_distribution_is_within_the_null_in_most_draws() -> None:
    found = [told(drawn(30, seed), drawn(40, 100 + seed)) for seed in range(20)]
    inside = [x.null_low <= x.auc <= x.null_high for x in found]
    assert sum(inside) >= 16
    assert np.mean([x.auc for x in found]) == pytest.approx(0.5, abs=0.05)
    assert (found[0].n_one, found[0].n_other) == (30, 40)
    assert 0.2 < found[0].null_low < 0.5 < found[0].null_high < 0.8


def test_sets_apart_are_always_told_and_so_is_one_that_is_too_narrow() -> None:
    assert told(drawn(30, 0), drawn(30, 1, shift=4.0)).auc == 1.0
    assert told(drawn(40, 0), drawn(40, 1, scale=0.3)).auc > 0.9


def test_the_area_is_a_probability() -> None:
    rng = np.random.default_rng(0)
    negative, positive = rng.standard_normal(2000), 1 + rng.standard_normal(2000)
    scores = np.concatenate([negative, positive])
    # P(N(1, 2) > 0) = 0.7602
    area = area_under_curve(scores, np.repeat([False, True], 2000))
    assert area == pytest.approx(0.7602, abs=0.02)


def test_too_few_rows_are_refused_and_constant_columns_are_not() -> None:
    with pytest.raises(ValueError, match="4 rows or more; there are 3, 9"):
        told(drawn(3, 0), drawn(9, 1))
    assert 0.0 <= told(np.zeros((4, 13)), np.zeros((5, 13))).auc <= 1.0
    assert told(drawn(20, 0), drawn(20, 1)) == told(drawn(20, 0), drawn(20, 1))
