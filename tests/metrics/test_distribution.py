"""Distances of sets against closed forms, and their bias on small sets."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from timbrel.metrics.distribution import (
    KAD_SCALE,
    SetDistance,
    frechet_distance,
    gaussian_kernel,
    kernel_audio_distance,
    median_distance,
)


def gaussian(n: int, mean: np.ndarray, deviation: np.ndarray, rng: np.random.Generator):
    return mean + deviation * rng.standard_normal((n, len(mean)))


def expected_kernel(mean: np.ndarray, variance: np.ndarray, bandwidth: float) -> float:
    """E exp(-|d|^2 / (2 b^2)) of d ~ N(mean, diag variance)."""
    spread = bandwidth**2 + variance
    return float(np.prod(np.sqrt(bandwidth**2 / spread)) * np.exp(-0.5 * (mean**2 / spread).sum()))


ZERO, ONE = np.zeros(4), np.ones(4)
SHIFT, WIDE = np.array([1.0, 0.5, 0.0, -0.5]), np.array([1.0, 2.0, 0.5, 1.0])


def test_kad_of_one_distribution_averages_zero() -> None:
    """Unbiased even for 8 sounds; the plug-in estimate, with its diagonals, would be 14."""
    rng = np.random.default_rng(0)
    draws = [[gaussian(8, ZERO, ONE, rng) for _ in range(2)] for _ in range(600)]
    fixed = np.array([kernel_audio_distance(*pair, bandwidth=2.0).value for pair in draws])
    error = fixed.std() / np.sqrt(len(fixed))
    assert abs(fixed.mean()) < 3 * error < 1.0
    assert 0.3 < (fixed < 0).mean() < 0.7
    # The median of the reference, an estimate itself, does no harm that could be seen.
    median = np.array([kernel_audio_distance(*pair).value for pair in draws])
    assert abs(median.mean()) < 3 * median.std() / np.sqrt(len(median))


def test_kad_is_the_closed_form_of_two_gaussians() -> None:
    bandwidth, rng = 1.5, np.random.default_rng(1)
    expected = KAD_SCALE * (
        expected_kernel(ZERO, 2 * ONE, bandwidth)
        + expected_kernel(ZERO, 2 * WIDE**2, bandwidth)
        - 2 * expected_kernel(SHIFT, ONE + WIDE**2, bandwidth)
    )
    values = [
        kernel_audio_distance(
            gaussian(30, ZERO, ONE, rng), gaussian(50, SHIFT, WIDE, rng), bandwidth=bandwidth
        ).value
        for _ in range(300)
    ]
    error = np.std(values) / np.sqrt(len(values))
    assert expected > 5
    assert abs(np.mean(values) - expected) < 3 * error < 0.8


def test_the_bandwidth_is_the_median_distance_of_the_reference() -> None:
    reference, other = np.array([[0.0], [1.0], [4.0]]), np.array([[9.0], [9.5]])
    assert median_distance(reference) == 3.0
    given = kernel_audio_distance(reference, other, bandwidth=3.0)
    assert kernel_audio_distance(reference, other) == given
    assert kernel_audio_distance(other, reference) != given
    scaled = kernel_audio_distance(reference * 7, other * 7)  # no unit enters
    assert scaled.value == pytest.approx(given.value)


def test_distances_say_how_many_sounds() -> None:
    rng = np.random.default_rng(2)
    sets = gaussian(12, ZERO, ONE, rng), gaussian(5, ZERO, ONE, rng)
    for distance in (kernel_audio_distance, frechet_distance):
        result = distance(*sets)
        assert (result.n_reference, result.n_generated) == (12, 5)
        assert str(result).endswith("(n = 5 against 12)")
    assert str(SetDistance(1.23456, 3, 4)) == "1.23 (n = 4 against 3)"


@pytest.mark.parametrize("n", [3, 40, 400])  # fewer than dimensions, and more
def test_frechet_of_equal_sets_is_zero(n: int) -> None:
    points = np.random.default_rng(n).standard_normal((n, 60))
    assert frechet_distance(points, points).value == pytest.approx(0.0, abs=1e-9)
    moved = frechet_distance(points, points + 2.0).value  # a shift by 2 in 60 dimensions
    assert moved == pytest.approx(240.0, rel=1e-9)


def test_frechet_is_the_closed_form_of_two_gaussians() -> None:
    """Of diagonal covariances: |m1 - m2|^2 + sum (s1 - s2)^2; of any, by the matrix root."""
    rng = np.random.default_rng(3)
    one, other = gaussian(20_000, ZERO, ONE, rng), gaussian(20_000, SHIFT, WIDE, rng)
    expected = (SHIFT**2).sum() + ((ONE - WIDE) ** 2).sum()
    assert frechet_distance(one, other).value == pytest.approx(expected, rel=0.03)
    mixed = one[:90] @ rng.standard_normal((4, 4)), other[:70] @ rng.standard_normal((4, 4))
    c1, c2 = (np.cov(points.T) for points in mixed)
    means = mixed[0].mean(0) - mixed[1].mean(0)
    slow = means @ means + np.trace(c1 + c2 - 2 * sqrtm(c1 @ c2).real)
    assert frechet_distance(*mixed).value == pytest.approx(slow, rel=1e-9)


def test_few_sounds_bias_frechet_and_not_kad() -> None:
    """Both sets of one distribution; the unit is each distance's own value for a shift by one
    deviation in every dimension: of 20 sounds the Frechet distance sees a third of such a shift
    where there is none, and of 100 a tenth."""
    rng, dim = np.random.default_rng(4), 12
    zero, one = np.zeros(dim), np.ones(dim)
    bandwidth = float(np.sqrt(2 * dim))
    shifted = {
        "frechet": float(dim),
        "kad": 2
        * KAD_SCALE
        * (expected_kernel(zero, 2 * one, bandwidth) - expected_kernel(one, 2 * one, bandwidth)),
    }
    for n, least in ((20, 0.3), (100, 0.05)):
        pairs = [[gaussian(n, zero, one, rng) for _ in range(2)] for _ in range(100)]
        frechet = np.mean([frechet_distance(*pair).value for pair in pairs]) / shifted["frechet"]
        kad = [kernel_audio_distance(*pair, bandwidth=bandwidth).value for pair in pairs]
        assert frechet > least
        assert abs(np.mean(kad)) / shifted["kad"] < 0.03 < frechet


def test_what_is_no_set_is_refused() -> None:
    point, pair = np.zeros((1, 2)), np.zeros((2, 2))
    for distance in (kernel_audio_distance, frechet_distance):
        with pytest.raises(ValueError, match="two sounds"):
            distance(pair, point)
    with pytest.raises(ValueError, match="no spread"):
        kernel_audio_distance(pair, pair)
    assert gaussian_kernel(pair, pair, 1.0).tolist() == [[1.0, 1.0], [1.0, 1.0]]
