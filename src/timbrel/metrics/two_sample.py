"""Can two sets of sounds be told apart? The area under the curve of a classifier that tries.

Task: a classifier learns from some rows which set they are from, and is asked about the others. 0.5
is chance, 1 always right. A kernel distance says how far the sets lie apart, this how surely a
listener with these numbers would know.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FOLDS, REPEATS, PERMUTATIONS = 5, 4, 40
FEWEST = 4
"""Rows of each set that are needed."""
_RIDGE = 0.1  # of the number of rows, as features have unit variance

Points = NDArray[np.float64]


@dataclass(frozen=True)
class TwoSample:
    """The area, its 95 % interval where the sets are mixed at random, and the sets' sizes."""

    auc: float
    null_low: float
    null_high: float
    n_one: int
    n_other: int


def two_sample(one: Points, other: Points, rng: np.random.Generator) -> TwoSample:
    """Cross-validated area under the ROC curve (the classifier test of Lopez-Paz & Oquab 2017).

    Rows are sounds. The classifier is a ridge regression on the labels (a regularised linear
    discriminant) over the columns and their squares, so that it hears a set that is too narrow as
    well as one that is elsewhere. Means over 5 folds, each with its share of both sets, and 4
    divisions; the null permutes the labels 40 times.

    Raises ValueError where a set has fewer than 4 rows.

    >>> line = np.linspace(0.0, 1.0, 20)[:, None]
    >>> two_sample(line, line + 2.0, np.random.default_rng(0)).auc
    1.0
    """
    if min(len(one), len(other)) < FEWEST:
        raise ValueError(f"two sets of {FEWEST} rows or more; there are {len(one)}, {len(other)}")
    rows = np.concatenate([one, other])
    rows = _scaled(rows, rows)
    features = np.concatenate([rows, np.square(rows)], axis=1)
    labels = np.repeat([-1.0, 1.0], [len(one), len(other)])
    auc = float(np.mean([_cross_validated(features, labels, rng) for _ in range(REPEATS)]))
    null = [_cross_validated(features, rng.permutation(labels), rng) for _ in range(PERMUTATIONS)]
    low, high = np.quantile(null, [0.025, 0.975])
    return TwoSample(auc, float(low), float(high), len(one), len(other))


def area_under_curve(scores: Points, positive: NDArray[np.bool_]) -> float:
    """How often a positive row scores above another one; ties count half (Hanley & McNeil 1982).

    >>> area_under_curve(np.array([1.0, 2.0, 2.0]), np.array([False, False, True]))
    0.75
    """
    difference = scores[positive][:, None] - scores[~positive][None, :]
    return float(((difference > 0) + 0.5 * (difference == 0)).mean())


def _cross_validated(features: Points, labels: Points, rng: np.random.Generator) -> float:
    """The mean area over folds that hold equal shares of both labels."""
    folds = min(FOLDS, int((labels > 0).sum()), int((labels < 0).sum()))
    fold = np.empty(len(labels), np.int64)
    for label in (-1.0, 1.0):
        members = rng.permutation(np.flatnonzero(labels == label))
        fold[members] = np.arange(len(members)) % folds
    return float(np.mean([_asked(features, labels, fold == k) for k in range(folds)]))


def _asked(features: Points, labels: Points, held: NDArray[np.bool_]) -> float:
    """The area on the rows `held`, by a classifier of the others."""
    known, truth = features[~held], labels[~held]
    x, asked = _scaled(known, known), _scaled(features[held], known)
    # Both sets weigh the same, however many rows each has.
    weight = np.where(truth > 0, 1 / (truth > 0).mean(), 1 / (truth < 0).mean())
    gram = (x * weight[:, None]).T @ x + _RIDGE * weight.sum() * np.eye(x.shape[1])
    slope = np.linalg.solve(gram, x.T @ (weight * truth))
    return area_under_curve(asked @ slope, labels[held] > 0)


def _scaled(rows: Points, by: Points) -> Points:
    deviation = by.std(0)
    return (rows - by.mean(0)) / np.where(deviation > 1e-9, deviation, 1.0)
