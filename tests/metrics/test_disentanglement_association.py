"""Information, correlations and importances against other computations of the same."""

import math

import numpy as np
import pytest
from scipy.stats import spearmanr

from timbrel.metrics.disentanglement.association import (
    ALPHA,
    binned,
    bins_for,
    correlation,
    information,
    rank_correlation,
)
from timbrel.metrics.disentanglement.trees import folds, importance


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_bins_hold_equally_many_rows_and_ties_stay_together() -> None:
    column = np.exp(5 * rng().standard_normal(1000))
    assert np.bincount(binned(column, 10)).tolist() == [100] * 10
    assert (binned(column, 10) == binned(np.log(column), 10)).all()
    half_zeros = np.where(column > 1.0, column, 0.0)
    bins = binned(half_zeros, 10)
    assert len(set(bins[half_zeros == 0.0])) == 1
    assert len(set(bins)) == pytest.approx(6, abs=1)
    assert set(binned(np.repeat([3.0, 9.0, 4.0], [1, 98, 1]), 3)) == {0, 1, 2}


def test_few_values_have_the_information_of_their_table() -> None:
    """Sent right 3 times of 4: 1 bit less the entropy of 1/4."""
    factor = np.repeat([0.0, 1.0], 2000)
    wrong = np.tile([False, False, False, True], 1000)
    unit = np.where(wrong, 1 - factor, factor)
    found = information(unit[:, None], factor, 4000)
    lost = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    assert found.entropy_nats == pytest.approx(math.log(2) + 1 / 8000)  # Miller's correction
    assert found.nats[0] == pytest.approx(math.log(2) - lost, abs=3e-4)


def test_normal_columns_have_the_information_of_their_correlation() -> None:
    """-log(1 - r^2) / 2 (Cover & Thomas, 8.5); 20 bins lose a twentieth of it."""
    factor = rng().standard_normal(20_000)
    unit = 0.8 * factor + 0.6 * rng(1).standard_normal(20_000)
    true = -math.log(1 - 0.64) / 2
    found = information(unit[:, None], factor, 20_000).nats[0]
    assert found == pytest.approx(0.95 * true, abs=0.01)


@pytest.mark.parametrize("rows", [100, 300, 1000])
@pytest.mark.parametrize("estimator", ["bins", "neighbours"])
def test_unrelated_columns_share_nothing_and_equal_ones_all(rows: int, estimator) -> None:
    codes, factor = rng().random((rows, 30)), rng(1).random(rows)
    codes[:, 0] = factor
    found = information(codes, factor, rows, estimator)
    assert found.nats[1:].mean() < 0.05 * found.entropy_nats
    assert found.nats[0] > 0.85 * found.entropy_nats
    assert found.entropy_nats == pytest.approx(math.log(bins_for(rows)), abs=0.02)
    assert found.certain[0]


def test_unrelated_columns_are_rarely_certain() -> None:
    codes = rng().random((200, 4000))
    share = information(codes, rng(1).random(200), 200).certain.mean()
    assert share < 4 * ALPHA
    frames = np.repeat(np.arange(20), 50)
    of_files = information(codes[frames, :200], rng(1).random(20)[frames], 20).certain.mean()
    assert of_files < 0.05


def test_correlations_are_those_of_numpy_and_scipy() -> None:
    codes = rng().standard_normal((80, 3)).round(1)  # with ties
    factor = np.round(codes[:, 0] + rng(1).standard_normal(80), 1)
    pearson = [np.corrcoef(unit, factor)[0, 1] for unit in codes.T]
    spearman = [spearmanr(unit, factor).statistic for unit in codes.T]
    assert correlation(codes, factor) == pytest.approx(np.array(pearson))
    assert rank_correlation(codes, factor) == pytest.approx(np.array(spearman))


def test_constants_are_related_to_nothing() -> None:
    codes = np.full((50, 1), 1e5 + 0.1)
    factor = rng().random(50)
    assert correlation(codes, factor) == rank_correlation(codes, factor) == [0.0]
    found = information(codes, factor, 50)
    assert (found.nats[0], bool(found.certain[0])) == (0.0, False)


def test_no_units_have_empty_columns() -> None:
    none, factor = np.zeros((50, 0)), rng().random(50)
    for estimator in ("bins", "neighbours"):
        assert information(none, factor, 50, estimator).nats.shape == (0,)
    assert rank_correlation(none, factor).shape == (0,)
    assert importance(none, factor, np.arange(50), rng())[0].shape == (0,)


def test_trees_find_who_tells_the_factor_and_how_well() -> None:
    """0.5 of the variance is noise, so that no prediction explains more."""
    codes = rng().standard_normal((1500, 4))
    factor = np.sign(codes[:, 2]) + rng(1).standard_normal(1500)
    of_units, explained = importance(codes, factor, np.arange(1500), rng())
    assert of_units.sum() == pytest.approx(1.0)
    assert of_units.argmax() == 2
    assert explained == pytest.approx(0.47, abs=0.06)


def test_groups_lie_in_one_fold() -> None:
    groups = rng().permutation(np.repeat(np.arange(12), 5))
    fold = folds(groups, rng())
    assert all(len(set(fold[groups == group])) == 1 for group in range(12))
    assert np.bincount(fold).tolist() in ([15, 15, 10, 10, 10],)
    assert set(folds(np.array([4, 4, 8]), rng())) == {0, 1}
