"""Coverage of the recordings by generated sounds, their variety, and their distance from copies.

Sets of sounds are embeddings `(sound, dimension)`, distances Euclidean. Every measure depends on
how many sounds there are: compare sets of one size, or use what is expected of a perfect model.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from timbrel.metrics.distribution import squared_distances

NEIGHBOURS = 5
"""The k of density and coverage, as in their paper."""

Embeddings = NDArray[np.float64]


@dataclass(frozen=True)
class Support:
    """Density and coverage, from how many sounds, and by balls of how many neighbours."""

    density: float
    coverage: float
    n_reference: int
    n_generated: int
    neighbours: int

    @property
    def expected_coverage(self) -> float:
        """The coverage that a generator of exactly the reference's distribution has on average."""
        return expected_coverage(self.n_reference, self.n_generated, self.neighbours)


@dataclass(frozen=True)
class Nearest:
    """For every sound: the distance to its nearest reference, and which one that is."""

    distance: NDArray[np.float64]
    index: NDArray[np.int64]


def nearest(points: Embeddings, references: Embeddings) -> Nearest:
    """The nearest row of `references` to every row of `points`.

    Raises ValueError where there is no reference.
    """
    if not len(references):
        raise ValueError("nothing to be near to")
    squared = squared_distances(points, references)
    index = squared.argmin(1)
    return Nearest(np.sqrt(squared[np.arange(len(points)), index]), index)


def density_and_coverage(
    reference: Embeddings, generated: Embeddings, neighbours: int = NEIGHBOURS
) -> Support:
    """Naeem et al. 2020, section 3, with balls around every reference out to its k-th neighbour.

    Density: in how many balls a generated sound lies, over k (1 of the same distribution, above
    where generated sounds crowd together). Coverage: the share of balls that hold a generated
    sound. Differs: a sound on a ball's edge lies in it, so that equal sets cover one another even
    where they hold duplicates; k is at most the number of other references.

    Raises ValueError for fewer than two references, or no generated sound.

    >>> line = np.arange(6.0)[:, None]
    >>> round(density_and_coverage(line, line[:1], 2).coverage, 2)  # the balls of 0 and 1
    0.33
    """
    if len(reference) < 2 or not len(generated):
        raise ValueError("coverage needs two references and a generated sound")
    k = min(neighbours, len(reference) - 1)
    # The nearest of each is itself, at distance 0.
    radius = np.sort(squared_distances(reference, reference), axis=1)[:, k]
    inside = squared_distances(reference, generated) <= radius[:, None]
    return Support(
        density=float(inside.sum() / (k * len(generated))),
        coverage=float(inside.any(1).mean()),
        n_reference=len(reference),
        n_generated=len(generated),
        neighbours=k,
    )


def expected_coverage(n_reference: int, n_generated: int, neighbours: int) -> float:
    """Coverage where both sets are drawn from one distribution (Naeem et al. 2020, section 3).

    A ball holds none of M generated sounds where, of the other N - 1 references and those M, the
    nearest k are references. Holds in any space. Of one sound it is k / N.

    >>> round(expected_coverage(1000, 1000, 5), 2)
    0.97
    >>> round(expected_coverage(100, 10, 5), 2)
    0.39
    """
    none = 1.0
    for i in range(1, neighbours + 1):
        none *= (n_reference - i) / (n_reference + n_generated - i)
    return 1.0 - none


def vendi_score(similarity: NDArray[np.float64]) -> float:
    """How many different sounds a set amounts to (Friedman & Dieng 2023, eq. 1).

    The exponential of the entropy of the eigenvalues of K / n, where K is a positive semi-definite
    similarity of all pairs with ones on its diagonal.

    >>> round(vendi_score(np.ones((4, 4))), 6), round(vendi_score(np.eye(4)), 6)
    (1.0, 4.0)
    """
    shares = np.linalg.eigvalsh(similarity / len(similarity))
    shares = shares[shares > 0]
    return float(np.exp(-(shares * np.log(shares)).sum()))


def smoothness(steps: Sequence[float] | NDArray[np.float64]) -> float:
    """How evenly a path moves: 1 - (largest step / total - 1/n) / (1 - 1/n), of n steps.

    1 where all steps are equal, 0 where one step makes the whole way; nan where nothing moves or
    there is one step only.

    >>> smoothness([1.0, 1.0, 1.0, 1.0]), smoothness([0.0, 2.0, 0.0])
    (1.0, 0.0)
    """
    moved = np.asarray(steps, np.float64)
    total, even = float(moved.sum()), 1 / max(len(moved), 1)
    if len(moved) < 2 or not total > 0:
        return math.nan
    return 1.0 - (float(moved.max()) / total - even) / (1.0 - even)
