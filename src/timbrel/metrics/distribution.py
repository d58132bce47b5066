"""How far one set of sounds lies from another, as embeddings: `(sound, dimension)` in, numbers out.

Task: are generated sounds distributed like recordings? Both distances are of two *sets*, and both
depend on how many sounds are in them, so a result holds the two numbers and is printed with them.
Of a few dozen sounds the kernel distance is the one to read: it is unbiased, so sets of one
distribution average 0 however small they are, where the Frechet distance falls with n.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

KAD_SCALE = 100.0
"""The kernel distance is given times this, for readable numbers."""

Embeddings = NDArray[np.float64]


@dataclass(frozen=True)
class SetDistance:
    """A distance, and how many sounds it was taken from on each side."""

    value: float
    n_reference: int
    n_generated: int

    def __str__(self) -> str:
        return f"{self.value:.3g} (n = {self.n_generated} against {self.n_reference})"


def kernel_audio_distance(
    reference: Embeddings, generated: Embeddings, *, bandwidth: float | None = None
) -> SetDistance:
    """Kernel audio distance (Chung et al. 2025, arXiv 2502.15602): 100 times the unbiased MMD^2.

    The estimator of Gretton et al. 2012, eq. 3, with the kernel exp(-d^2 / (2 bandwidth^2)). The
    bandwidth is the median distance within the reference set where none is given. Around 0 for
    sets of one distribution, and then as often below it as above. Differs: the embedding is the
    caller's, not that of a trained network, so numbers compare only with numbers of the same one.

    Raises ValueError where a set holds fewer than two sounds, or the reference nothing but one.

    >>> kernel_audio_distance(np.eye(2), np.eye(2) + 100.0).value > 80
    True
    """
    _check(reference, generated)
    sigma = median_distance(reference) if bandwidth is None else bandwidth
    if not sigma > 0:
        raise ValueError("the reference set has no spread: a bandwidth must be given")
    within = _mean_off_diagonal(gaussian_kernel(reference, reference, sigma))
    within += _mean_off_diagonal(gaussian_kernel(generated, generated, sigma))
    across = float(gaussian_kernel(reference, generated, sigma).mean())
    value = KAD_SCALE * (within - 2 * across)
    return SetDistance(value, len(reference), len(generated))


def frechet_distance(reference: Embeddings, generated: Embeddings) -> SetDistance:
    """Squared Frechet distance of the two sets' Gaussians (Dowson & Landau 1982, eq. 4).

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), covariances over n - 1. No matrix is square-rooted:
    with C1 = A^T A and C2 = B^T B the last trace is the sum of the singular values of A B^T, which
    holds for covariances of any rank, as they are where n is below the number of dimensions.
    Biased: the smaller n, the larger.

    Raises ValueError where a set holds fewer than two sounds.

    >>> frechet_distance(np.array([[0.0], [2.0]]), np.array([[3.0], [5.0]])).value
    9.0
    """
    _check(reference, generated)
    means = reference.mean(0) - generated.mean(0)
    one, other = _root(reference), _root(generated)
    shared = np.linalg.svd(one @ other.T, compute_uv=False).sum()
    value = means @ means + np.square(one).sum() + np.square(other).sum() - 2 * shared
    return SetDistance(max(0.0, float(value)), len(reference), len(generated))


def squared_distances(one: Embeddings, other: Embeddings) -> Embeddings:
    """Squared Euclidean distances of every row of `one` to every row of `other`.

    By differences: the quicker way by products leaves rounding errors between equal rows.
    """
    squared = np.empty((len(one), len(other)))
    for i, row in enumerate(one):
        squared[i] = np.square(other - row).sum(1)
    return squared


def median_distance(points: Embeddings) -> float:
    """The median distance of two different rows.

    >>> median_distance(np.array([[0.0], [1.0], [4.0]]))
    3.0
    """
    upper = np.triu_indices(len(points), 1)
    return float(np.median(np.sqrt(squared_distances(points, points)[upper])))


def gaussian_kernel(one: Embeddings, other: Embeddings, bandwidth: float) -> Embeddings:
    """exp(-d^2 / (2 bandwidth^2)) of every pair of rows."""
    return np.exp(squared_distances(one, other) / (-2.0 * bandwidth**2))


def _check(reference: Embeddings, generated: Embeddings) -> None:
    if min(len(reference), len(generated)) < 2:
        raise ValueError("a distance of sets needs two sounds or more in each")


def _mean_off_diagonal(kernel: Embeddings) -> float:
    n = len(kernel)
    return float((kernel.sum() - np.trace(kernel)) / (n * (n - 1)))


def _root(points: Embeddings) -> Embeddings:
    """A matrix whose A^T A is the covariance, no taller than it must be."""
    centred = (points - points.mean(0)) / np.sqrt(len(points) - 1)
    if len(points) <= points.shape[1]:
        return centred
    _, upper = np.linalg.qr(centred)
    return upper
