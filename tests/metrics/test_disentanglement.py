"""Disentanglement scores: exact values of hand-made tables, and of codes whose scores are known."""

import math
from functools import partial

import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingRegressor

from timbrel.metrics.disentanglement import CHEAP, METRICS, dci_of, evaluate, values
from timbrel.metrics.disentanglement.evaluate import _half, _others
from timbrel.metrics.disentanglement.measures import (
    interpretability_of,
    mig_of,
    modularity_of,
    sap_of,
    scc_of,
)
from timbrel.metrics.disentanglement.trees import SETTINGS

EYE = np.eye(5)
TWO_OF_TEN = 1 - math.log(2) / math.log(10)


def uniform(n: int, columns: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((n, columns))


@pytest.mark.parametrize(
    ("table", "disentanglement", "completeness", "modularity"),
    [
        (EYE, 1, 1, 1),
        (np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]), 1, 1, 2 / 3),
        (np.zeros((4, 3)), 0, 0, 0),
        (np.zeros((0, 3)), 0, 0, 0),
        (np.concatenate([EYE, EYE]), 1, TWO_OF_TEN, 1),
        (np.concatenate([EYE, EYE], axis=1), TWO_OF_TEN, 1, 8 / 9),
        (np.ones((4, 3)), 0, 0, 0),
        # The mixed unit has half of the importance; the first factor lies in two units as 2 : 1.
        (np.array([[2.0, 0.0], [1.0, 1.0]]), 0.5, 0.5408520829727552, 0.5),
    ],
)
def test_tables_have_their_exact_scores(table, disentanglement, completeness, modularity) -> None:
    dci = dci_of(table)
    assert dci.disentanglement == pytest.approx(disentanglement, abs=1e-12)
    assert dci.completeness == pytest.approx(completeness, abs=1e-12)
    assert modularity_of(table) == pytest.approx(modularity, abs=1e-12)


def test_nothing_can_be_mixed_of_one_factor_or_one_unit() -> None:
    one_factor, one_unit = np.ones((3, 1)), np.ones((1, 3))
    assert math.isnan(modularity_of(one_factor))
    assert math.isnan(dci_of(one_factor).disentanglement)
    assert math.isnan(dci_of(one_unit).completeness)
    assert dci_of(one_unit).disentanglement == pytest.approx(0.0, abs=1e-12)
    # There is no second unit: the gap is down to nothing.
    assert mig_of(one_unit, np.full(3, 2.0)) == 0.5
    assert sap_of(one_unit) == 1.0


def test_no_units_score_nothing() -> None:
    none = np.zeros((0, 3))
    assert mig_of(none, np.ones(3)) == sap_of(none) == scc_of(none) == 0.0
    assert interpretability_of(none, none) == 0.0


def test_a_code_that_is_the_factors_scores_almost_one() -> None:
    factors = uniform(10_000, 2)
    found = values(factors, factors, metrics=METRICS)
    assert set(found) == set(METRICS)
    assert all(0.97 < value <= 1.0 + 1e-9 for value in found.values()), found


def test_a_code_that_holds_every_factor_twice_is_disentangled_and_not_complete() -> None:
    factors = uniform(1000, 5)
    found = values(np.concatenate([factors, factors], axis=1), factors, metrics=METRICS)
    assert found["mig"] < 0.01
    assert found["sap"] < 0.01
    assert found["modularity"] > 0.98
    assert found["dci_disentanglement"] > 0.98
    assert found["dci_completeness"] == pytest.approx(TWO_OF_TEN, abs=0.05)


def test_a_code_turned_by_45_degrees_has_no_gap() -> None:
    factors = np.random.default_rng(0).standard_normal((3000, 2))
    turned = factors @ np.array([[1.0, 1.0], [-1.0, 1.0]]) / math.sqrt(2)
    found = values(turned, factors)
    assert found["mig"] < 0.02
    assert found["sap"] < 0.05
    assert found["modularity"] < 0.15
    assert found["interpretability"] == pytest.approx(0.5, abs=0.05)
    assert values(turned, factors, metrics=["mig"], estimator="neighbours")["mig"] < 0.03


def test_one_outlier_changes_neither_information_nor_ranks() -> None:
    factors = uniform(1000, 4)
    codes = factors + 0.1 * uniform(1000, 4, seed=1)
    before = values(codes, factors)
    codes[17] = factors[23] = 1e6
    after = values(codes, factors)
    for name in ("mig", "scc"):
        assert after[name] == pytest.approx(before[name], abs=0.02)
    assert after["sap"] < 0.1  # a squared correlation is no robust number: the page says so


@pytest.mark.parametrize(("rows", "least"), [(100, 0.95), (300, 0.97), (1000, 0.98)])
def test_few_rows_leave_a_perfect_code_beside_noise_its_gap(rows: int, least: float) -> None:
    """20 bins of equal width give 0.51, 0.76 and 0.93."""
    factors = uniform(rows, 5)
    codes = np.concatenate([factors, uniform(rows, 4, seed=1)], axis=1)
    found = values(codes, factors)
    assert found["mig"] > least
    # The four units of noise are dead units, though they vary.
    assert found["modularity"] == pytest.approx(5 / 9, abs=0.12)


def test_a_row_without_a_factor_is_left_out_for_that_factor_alone() -> None:
    factors = uniform(400, 2)
    codes = factors + 0.2 * uniform(400, 2, seed=1)
    gap = factors.copy()
    gap[300:, 1] = math.nan
    codes[300:, 1] += 50.0  # what the second unit does there is of no matter to the second factor
    found = values(codes, gap)
    first, second = values(codes, factors[:, :1]), values(codes[:300], factors[:300, 1:])
    for name in ("mig", "sap", "scc"):
        assert found[name] == pytest.approx((first[name] + second[name]) / 2)
    score = evaluate(codes, gap, draws=2, tree_draws=1)["dci_disentanglement"]
    assert (score.n, score.n_groups) == ((400, 300), 400)
    assert all(math.isfinite(x) for x in (score.value, score.low, score.null_mean, score.ceiling))


def test_factors_that_do_not_vary_or_are_rare_are_not_scored() -> None:
    factors = uniform(200, 2)
    odd = np.concatenate([factors, np.full((200, 3), math.nan)], axis=1)
    odd[:, 2] = 0.1 + 1e-9 * factors[:, 0]
    odd[:9, 3] = np.arange(9)
    codes = factors + 0.1
    whole = evaluate(codes, odd, metrics=CHEAP, draws=0, tree_draws=0)
    assert whole["mig"].n == (200, 200, 0, 0, 0)
    assert whole["mig"].value == values(codes, factors)["mig"]
    assert all(math.isnan(value) for value in values(codes, odd[:, 2:]).values())
    with pytest.raises(ValueError, match="no factor varies"):
        evaluate(codes, odd[:, 2:])


def test_inactive_units_are_left_out_and_counted_apart() -> None:
    factors = uniform(600, 2)
    codes = np.concatenate([factors, np.zeros((600, 1))], axis=1)
    score = evaluate(codes, factors, metrics=["modularity"], draws=0)["modularity"]
    assert score.value > 0.98
    assert score.all_units == pytest.approx(2 / 3, abs=0.02)
    # A unit may vary little and tell all the same: who knows it can say so.
    small = codes * [1.0, 0.01, 1.0]
    named = np.array([True, True, False])
    scc = [
        evaluate(small, factors, active=x, metrics=["scc"], draws=0)["scc"] for x in (None, named)
    ]
    assert scc[0].value < 0.6
    assert scc[1].value == pytest.approx(1.0)
    assert scc[0].all_units == scc[1].all_units == pytest.approx(1.0)


def test_a_dead_code_scores_nothing() -> None:
    found = evaluate(np.zeros((50, 4)), uniform(50, 3), draws=2, tree_draws=1)
    assert set(found) == set(METRICS)
    assert {(score.value, score.all_units) for score in found.values()} == {(0.0, 0.0)}


def test_related_factors_cap_the_score() -> None:
    rng = np.random.default_rng(0)
    first = rng.standard_normal(2000)
    factors = np.stack([first, 0.9 * first + 0.44 * rng.standard_normal(2000)], axis=1)
    found = evaluate(factors, factors, metrics=CHEAP, draws=5, tree_draws=0)
    assert found["sap"].ceiling == pytest.approx(1 - 0.81, abs=0.03)
    assert found["mig"].value == found["mig"].ceiling < 0.75
    assert found["scc"].ceiling == pytest.approx(1.0)


def test_unrelated_codes_lie_within_their_null() -> None:
    found = evaluate(uniform(200, 6), uniform(200, 4, seed=1), draws=30, tree_draws=1)
    assert found["scc"].value < found["scc"].null_p95 + 0.05
    assert found["scc"].null_mean == pytest.approx(0.1, abs=0.04)
    assert found["dci_informativeness"].value < 0.05
    for score in found.values():
        assert 0.0 <= score.low <= score.value <= score.high <= 1.0


def test_frames_of_a_file_are_one_sample() -> None:
    """30 files of 20 frames, nothing related: by frames it seems to be, by files it does not."""
    groups = np.repeat(np.arange(30), 20)
    codes, factors = uniform(30, 4)[groups], uniform(30, 3, seed=1)[groups]
    by_frame = evaluate(codes, factors, draws=20, tree_draws=1)
    by_file = evaluate(codes, factors, groups, draws=40, tree_draws=1)
    assert by_frame["scc"].value > 3 * by_frame["scc"].null_p95
    assert by_file["scc"].value < by_file["scc"].null_p95 + 0.05
    widths = [found["scc"].high - found["scc"].low for found in (by_file, by_frame)]
    assert widths[0] > 2 * widths[1]
    assert by_frame["dci_informativeness"].value > 0.9  # the file is known again
    assert by_file["dci_informativeness"].value < 0.1
    assert by_file["mig"].n_groups == 30


def test_groups_are_exchanged_whole() -> None:
    groups = np.array([0, 1, 1, 1, 2, 2, 0, 1])
    rows = _others(groups, np.random.default_rng(0))
    for group in range(3):
        assert len(set(groups[rows[groups == group]])) == 1
    single = _others(np.arange(50), np.random.default_rng(0))
    assert sorted(single) == list(range(50)) != list(single)
    half = _half(groups, np.random.default_rng(0))
    assert len(set(groups[half])) == 1
    assert set(np.flatnonzero(np.isin(groups, groups[half]))) == set(half)


def test_the_interval_is_as_wide_as_scores_of_new_data_vary() -> None:
    def blurred(seed: int) -> tuple[np.ndarray, np.ndarray]:
        factors = uniform(200, 4, seed)
        return factors + 0.2 * np.random.default_rng(100 + seed).standard_normal((200, 4)), factors

    drawn = [values(*blurred(seed)) for seed in range(60)]
    found = [evaluate(*blurred(s), metrics=CHEAP, draws=30, tree_draws=0) for s in range(8)]
    for name in ("mig", "sap", "scc", "interpretability"):
        spread = 2 * 1.96 * np.std([x[name] for x in drawn])
        width = np.mean([x[name].high - x[name].low for x in found])
        assert 0.8 < width / spread < 1.4, name


def test_the_seed_decides() -> None:
    codes, factors = uniform(60, 3), uniform(60, 2, seed=1)
    first, again, other = (
        evaluate(codes, factors, draws=2, tree_draws=1, seed=seed) for seed in (0, 0, 1)
    )
    assert first == again
    assert first["mig"].value == other["mig"].value
    assert first["mig"].null_mean != other["mig"].null_mean


def test_groups_have_any_names_and_codes_are_of_any_precision() -> None:
    factors = uniform(60, 2)
    files = np.array([f"file {i // 3}.wav" for i in range(60)])
    found = values(factors.astype(np.float32), factors, files)
    assert found["mig"] == values(factors, factors, np.arange(60) // 3)["mig"]


def test_of_one_unit_only_completeness_says_nothing() -> None:
    factors = uniform(60, 2)
    found = evaluate(factors[:, :1], factors, draws=2, tree_draws=1)
    assert {name for name, score in found.items() if math.isnan(score.value)} == {
        "dci_completeness"
    }
    assert math.isnan(found["dci_completeness"].high)
    assert found["dci_disentanglement"].value == pytest.approx(0.0, abs=0.01)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"codes": np.zeros((9, 2))}, r"codes \(9, 2\) and factors \(20, 2\)"),
        ({"codes": np.full((20, 2), math.nan)}, "codes must be finite"),
        ({"factors": np.full((20, 2), math.inf)}, "codes must be finite"),
        ({"groups": np.zeros(3)}, r"groups \(3,\): one for each of 20 rows"),
        ({"metrics": ["mig", "migg"]}, "no such scores: migg"),
        ({"active": np.array([True])}, "2 units, but active is"),
    ],
)
def test_what_does_not_fit_is_refused(change, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        evaluate(**{"codes": uniform(20, 2), "factors": uniform(20, 2, seed=1), **change})


@pytest.mark.slow
def test_disent_finds_the_same(monkeypatch) -> None:
    """Its scores are of factors of few values; its MIG has bins of equal width, as these codes do.

    pip install --target FOLDER --no-deps disent h5py torchvision, and FOLDER on PYTHONPATH.
    """
    metrics = pytest.importorskip("disent.metrics", exc_type=ImportError)
    # Its trees tell classes apart. With the trees that we plant its importances are as ours.
    planted = partial(GradientBoostingRegressor, **SETTINGS)
    monkeypatch.setattr("sklearn.ensemble.GradientBoostingClassifier", planted)
    rows = 4000
    factors = np.random.default_rng(0).integers(0, 5, (rows, 3)).astype(np.float64)
    mixing = np.array([[1.0, 0.3, 0.0], [0.0, 1.0, 0.0], [0.0, 0.2, 1.0], [0.5, 0.0, 0.0]]).T
    codes = factors @ mixing + 2.0 * uniform(rows, 4, seed=1)

    class Rows:
        """What disent's metrics ask of a data set: the next rows, and their factors."""

        def __init__(self) -> None:
            self.at = 0

        def dataset_sample_batch_with_factors(self, n: int, mode: str):
            taken = np.arange(self.at, self.at + n) % rows
            self.at += n
            return codes[taken], factors[taken].astype(int)

    def theirs(metric, **settings) -> dict[str, float]:
        return metric.unwrap(Rows(), lambda observed: observed, batch_size=1000, **settings)

    ours = values(codes, factors, metrics=METRICS)
    mig = theirs(metrics.metric_mig, num_train=rows)["mig.discrete_score"]
    sap = theirs(metrics.metric_sap, num_train=rows, num_test=1000, continuous_factors=True)
    dci = theirs(metrics.metric_dci, num_train=3000, num_test=1000)
    assert ours["mig"] == pytest.approx(mig, abs=0.02)
    assert ours["sap"] == pytest.approx(sap["sap.score"], abs=1e-9)
    assert ours["dci_disentanglement"] == pytest.approx(dci["dci.disentanglement"], abs=0.02)
    assert ours["dci_completeness"] == pytest.approx(dci["dci.completeness"], abs=0.02)
