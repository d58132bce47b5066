"""How much each unit of a code tells of one factor: mutual information and correlations.

Task: the tables that the scores of `measures` take, column by column. Conventions: `codes` are
`(row, unit)`, `factor` is `(row)`, all finite. Information is in nats; correlations are absolute or
squared, and 0 where a side is constant. Only the order of values counts for information and rank
correlation, so that an outlier moves them no more than any other row.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

MOST_BINS = 20
EXPECTED_PER_CELL = 5
NEIGHBOURS = 3

ALPHA = 0.002
"""How often an unrelated unit and factor count as certainly related."""

Counts = NDArray[np.int64]
Codes = NDArray[np.float64]
Column = NDArray[np.float64]
Estimator = Literal["bins", "neighbours"]


@dataclass(frozen=True)
class Information:
    """What units tell of a factor, and the factor's entropy.

    `certain` are the units that tell more than chance: a G test of the table of both columns
    (2 n times the information, against chi-squared), as if there were `n` rows.
    """

    nats: Column
    entropy_nats: float
    certain: NDArray[np.bool_]


def bins_for(n: int) -> int:
    """How many quantile bins a column of n independent rows gets: sqrt(n / 5), from 2 to 20.

    A table of two unrelated columns then expects 5 rows in each cell (Cochran's rule for tests of
    such tables), and the correction and the test of `information` hold.

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


def information(
    codes: Codes, factor: Column, n: int, estimator: Estimator = "bins", bins: int | None = None
) -> Information:
    """Mutual information of every unit and the factor; `n` counts the rows that are independent.

    The factor is in quantile bins, `bins_for(n)` where their number is not given. By "bins" the
    units are in bins too, and the three entropies are corrected by (occupied cells - 1) / 2 rows
    (Miller 1955), or unrelated columns would share (bins - 1)^2 / 2 rows. By "neighbours" the units
    stay as they are (Ross 2014, k = 3, by scikit-learn), which takes 100 times as long.
    Differs from nearest-neighbour information of two continuous columns: that has no upper bound
    (of a column with itself it grows with log n), and a share of an entropy could not be taken.

    >>> found = information(np.arange(200.0)[:, None], np.arange(200.0), 200)
    >>> round(found.nats[0] / found.entropy_nats, 6), bool(found.certain[0])
    (np.float64(1.0), True)
    """
    from scipy.special import chdtri

    bins, units = bins or bins_for(n), codes.shape[1]
    place = binned(factor, bins)
    columns = int(place.max()) + 1
    rows = _by_unit(partial(binned, bins=bins), codes).astype(np.int64)
    cells = (np.arange(units) * bins + rows) * columns + place[:, None]
    joint = np.bincount(cells.ravel(), minlength=units * bins * columns)
    joint = joint.reshape(units, bins, columns)
    counts = joint.sum(2), np.bincount(place)[None], joint.reshape(units, bins * columns)
    of_units, entropy, of_both = (_entropy_nats(x) for x in counts)
    freedom = ((counts[0] > 0).sum(1) - 1) * (columns - 1)
    g = 2 * n * (of_units + entropy - of_both)
    certain = g > chdtri(np.maximum(freedom, 1), ALPHA)
    if estimator == "neighbours":
        nats = _neighbours_nats(codes, place)
    else:
        of_units, entropy, of_both = (_corrected_nats(x) for x in counts)
        nats = of_units + entropy - of_both
    return Information(np.clip(nats, 0.0, entropy), float(entropy[0]), certain)


def correlation(codes: Codes, factor: Column) -> Column:
    """Pearson's correlation of every unit with the factor; 0 where a side is constant.

    >>> correlation(np.array([[0.0, 7.0], [1.0, 7.0]]), np.array([1.0, 0.0])).round(6).tolist()
    [-1.0, 0.0]
    """
    units, other = _unit_length(codes), _unit_length(factor[:, None])
    return np.clip(units.T @ other[:, 0], -1.0, 1.0)


def rank_correlation(codes: Codes, factor: Column) -> Column:
    """Spearman's correlation of every unit with the factor; 0 where a side is constant."""
    return correlation(_by_unit(ranks, codes), ranks(factor))


def _neighbours_nats(codes: Codes, place: Counts) -> Column:
    from sklearn.feature_selection import mutual_info_classif

    if not codes.shape[1]:
        return np.zeros(0)
    return mutual_info_classif(codes, place, n_neighbors=NEIGHBOURS, random_state=0)


def _by_unit(function: Callable[[Column], NDArray[Any]], codes: Codes) -> Codes:
    """A function of every column."""
    columns = np.zeros(codes.shape)
    for i, unit in enumerate(codes.T):
        columns[:, i] = function(unit)
    return columns


def _entropy_nats(counts: Counts) -> NDArray[np.float64]:
    """Entropy of every row of counts."""
    n = counts.sum(1)
    return np.log(n) - (counts * np.log(np.maximum(counts, 1))).sum(1) / n


def _corrected_nats(counts: Counts) -> NDArray[np.float64]:
    """Entropy of every row of counts, with Miller's correction."""
    return _entropy_nats(counts) + ((counts > 0).sum(1) - 1) / (2 * counts.sum(1))


def _unit_length(columns: Codes) -> Codes:
    """Columns without their mean, of length 1, or of zeros where they are constant."""
    centred = columns - columns.mean(0)
    length = np.linalg.norm(centred, axis=0)
    # What rounding leaves of a constant is no variation.
    varies = length > 1e-9 * np.sqrt(len(columns)) * np.abs(columns).max(0, initial=0.0)
    return np.divide(centred, length, out=np.zeros_like(centred), where=varies & (length > 0))
