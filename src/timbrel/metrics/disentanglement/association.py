"""How much each unit of a code tells of one factor: mutual information and correlations.

Task: the tables that the scores of `measures` take, column by column. Conventions: `codes` are
`(row, unit)`, `factor` is `(row)`, all finite. Information is in nats; correlations are absolute or
squared, and 0 where a side is constant. Only the order of values counts for information and rank
correlation, so that an outlier moves them no more than any other row.
"""

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

MOST_BINS = 20
EXPECTED_PER_CELL = 5
NEIGHBOURS = 3

Codes = NDArray[np.float64]
Column = NDArray[np.float64]
Estimator = Literal["bins", "neighbours"]


def bins_for(n: int) -> int:
    """How many quantile bins a column of n independent rows gets: sqrt(n / 5), from 2 to 20.

    A table of two unrelated columns then expects 5 rows in each cell (Cochran's rule for tests of
    such tables), and the correction of `information_nats` holds.

    >>> [bins_for(n) for n in (10, 100, 200, 300, 1000, 2000, 5000)]
    [2, 4, 6, 7, 14, 20, 20]
    """
    return min(MOST_BINS, max(2, math.isqrt(n // EXPECTED_PER_CELL)))


def binned(column: Column, bins: int) -> NDArray[np.int64]:
    """The bin of every row: as many rows in each as ties allow, equal values in the same one.

    A column of no more values than bins keeps its values.

    >>> binned(np.array([1.0, 2.0, 3.0, 900.0]), 2).tolist()
    [0, 0, 1, 1]
    """
    values, place, count = np.unique(column, return_inverse=True, return_counts=True)
    if len(values) <= bins:
        return place.astype(np.int64)
    middle = np.cumsum(count) - count / 2
    return (middle * bins / len(column)).astype(np.int64)[place]


def ranks(column: Column) -> Column:
    """The rank of every row from 1; ties share their mean rank.

    >>> ranks(np.array([5.0, 1.0, 5.0])).tolist()
    [2.5, 1.0, 2.5]
    """
    _, place, count = np.unique(column, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[place]


def information_nats(
    codes: Codes, factor: Column, bins: int, estimator: Estimator = "bins"
) -> tuple[Column, float]:
    """Mutual information of every unit and the factor, and the entropy of the factor.

    The factor is in quantile bins. `bins` puts the units into bins too and corrects the three
    entropies by (occupied cells - 1) / 2n (Miller 1955), or unrelated columns would share
    (bins - 1)^2 / 2n nats. `neighbours` leaves the units as they are and counts neighbours
    (Ross 2014, k = 3, by scikit-learn), which needs no correction and far more time. Differs from
    nearest-neighbour information of two continuous columns: that has no upper bound (of a column
    with itself it grows with log n), and a share of an entropy could not be taken.

    >>> of_units, entropy = information_nats(np.arange(20.0)[:, None], np.arange(20.0), 2)
    >>> of_units[0] == entropy
    True
    """
    place = binned(factor, bins)
    entropy = float(_entropy_nats(np.bincount(place)))
    if estimator == "neighbours":
        from sklearn.feature_selection import mutual_info_classif

        found = mutual_info_classif(codes, place, n_neighbors=NEIGHBOURS, random_state=0)
        return np.minimum(found, entropy), entropy
    n, units = codes.shape
    columns = place.max() + 1
    rows = np.stack([binned(unit, bins) for unit in codes.T], axis=1)
    cells = (np.arange(units) * bins + rows) * columns + place[:, None]
    joint = np.bincount(cells.ravel(), minlength=units * bins * columns)
    joint = joint.reshape(units, bins, columns)
    shared = _entropy_nats(joint.sum(2)) + entropy - _entropy_nats(joint.reshape(units, -1))
    return np.clip(shared, 0.0, entropy), entropy


def correlation(codes: Codes, factor: Column) -> Column:
    """Pearson's correlation of every unit with the factor; 0 where a side is constant.

    >>> correlation(np.array([[0.0, 7.0], [1.0, 7.0]]), np.array([1.0, 0.0])).tolist()
    [-1.0, 0.0]
    """
    units, other = _unit_length(codes), _unit_length(factor[:, None])
    return np.clip(units.T @ other[:, 0], -1.0, 1.0)


def rank_correlation(codes: Codes, factor: Column) -> Column:
    """Spearman's correlation of every unit with the factor; 0 where a side is constant."""
    return correlation(np.stack([ranks(unit) for unit in codes.T], axis=1), ranks(factor))


def _entropy_nats(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Entropy over the last axis, with Miller's correction."""
    n = counts.sum(-1)
    occupied = (counts > 0).sum(-1)
    weighed = counts * np.log(np.maximum(counts, 1))
    return np.asarray(np.log(n) - weighed.sum(-1) / n + (occupied - 1) / (2 * n))


def _unit_length(columns: Codes) -> Codes:
    """Columns without their mean, of length 1, or of zeros where they are constant."""
    centred = columns - columns.mean(0)
    length = np.linalg.norm(centred, axis=0)
    # What rounding leaves of a constant is no variation.
    varies = length > 1e-9 * np.sqrt(len(columns)) * np.abs(columns).max(0, initial=0.0)
    return np.divide(centred, length, out=np.zeros_like(centred), where=varies & (length > 0))
