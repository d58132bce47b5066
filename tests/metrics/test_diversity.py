"""Coverage, density, Vendi score, neighbours and smoothness: exact values of hand-made sets."""

import math

import numpy as np
import pytest

from timbrel.metrics.distribution import gaussian_kernel
from timbrel.metrics.diversity import (
    density_and_coverage,
    expected_coverage,
    nearest,
    smoothness,
    vendi_score,
)


def points(n: int, seed: int = 0, dim: int = 8) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, dim))


def test_equal_sets_cover_one_another() -> None:
    support = density_and_coverage(points(50), points(50))
    assert support.coverage == 1.0
    assert (support.n_reference, support.n_generated, support.neighbours) == (50, 50, 5)
    assert density_and_coverage(np.zeros((9, 3)), np.zeros((4, 3))).coverage == 1.0


def test_a_collapsed_generator_covers_hardly_more_than_itself() -> None:
    """One sound 32 times lies in its own ball and in the balls that have it as a neighbour."""
    reference = points(200, dim=2)
    collapsed = density_and_coverage(reference, np.repeat(reference[:1], 32, axis=0))
    balls = int(
        (density_and_coverage(reference, reference[:1]).coverage * len(reference)).__round__()
    )
    assert 1 <= balls <= 20
    assert collapsed.coverage == balls / 200 < 0.1
    assert density_and_coverage(reference, reference[:32]).coverage > 4 * collapsed.coverage


def test_noise_far_away_covers_nothing() -> None:
    support = density_and_coverage(points(50), points(50, 1) + 100.0)
    assert (support.coverage, support.density) == (0.0, 0.0)


def test_coverage_of_one_distribution_is_as_expected() -> None:
    """In any space and for any numbers of sounds; density is 1."""
    for n, m, k, dim in ((30, 32, 5, 3), (12, 40, 3, 9), (60, 10, 5, 1)):
        drawn = [
            density_and_coverage(points(n, 2 * i, dim), points(m, 2 * i + 1, dim), k)
            for i in range(200)
        ]
        coverage = np.array([support.coverage for support in drawn])
        expected = expected_coverage(n, m, k)
        assert drawn[0].expected_coverage == expected
        assert abs(coverage.mean() - expected) < 4 * coverage.std() / np.sqrt(200) < 0.06
        assert np.mean([s.density for s in drawn]) == pytest.approx(1.0, abs=0.15)


def test_few_references_have_fewer_neighbours() -> None:
    support = density_and_coverage(points(3), points(3))
    assert (support.neighbours, support.coverage) == (2, 1.0)
    with pytest.raises(ValueError, match="two references"):
        density_and_coverage(points(1), points(3))


def test_vendi_counts_what_differs() -> None:
    assert vendi_score(np.ones((7, 7))) == pytest.approx(1.0)
    assert vendi_score(np.eye(7)) == pytest.approx(7.0)
    two_kinds = np.kron(np.eye(2), np.ones((3, 3)))
    assert vendi_score(two_kinds) == pytest.approx(2.0)
    a = 0.3  # eigenvalues of K / 2 are (1 + a) / 2 and (1 - a) / 2
    shares = np.array([1 + a, 1 - a]) / 2
    expected = math.exp(-(shares * np.log(shares)).sum())
    assert vendi_score(np.array([[1.0, a], [a, 1.0]])) == pytest.approx(expected)


def test_vendi_of_points_far_apart_is_their_number() -> None:
    far = 100.0 * np.eye(6)
    assert vendi_score(gaussian_kernel(far, far, 1.0)) == pytest.approx(6.0)
    assert vendi_score(gaussian_kernel(far, far, 1e6)) == pytest.approx(1.0, abs=1e-6)


def test_nearest_finds_a_copy_at_distance_zero() -> None:
    references = points(20)
    found = nearest(np.stack([references[7], references[3] + [3.0, 4.0, *[0.0] * 6]]), references)
    assert found.index[0] == 7
    assert found.distance[0] == 0.0
    assert found.distance[1] <= 5.0
    assert nearest(references[:0], references).distance.shape == (0,)
    with pytest.raises(ValueError, match="near to"):
        nearest(references, references[:0])


def test_smoothness_of_even_and_sudden_paths() -> None:
    assert smoothness([0.5] * 8) == 1.0
    assert smoothness([0.0, 0.0, 3.0, 0.0]) == 0.0
    assert smoothness([1.0, 1.0, 2.0]) == pytest.approx(1 - (0.5 - 1 / 3) / (2 / 3))
    assert math.isnan(smoothness([0.0, 0.0]))
    assert math.isnan(smoothness([1.0]))
    assert math.isnan(smoothness([]))
