"""Means over files, with confidence intervals by the bootstrap."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Interval:
    """A mean of `n` values and the bounds of its interval, nan where n = 1 allows none."""

    mean: float
    low: float
    high: float
    n: int


def bootstrap_mean(
    values: Sequence[float] | NDArray[np.float64],
    rng: np.random.Generator,
    draws: int,
    level: float = 0.95,
) -> Interval:
    """Expanded percentile bootstrap of the mean (Hesterberg 2015, section 3.2).

    The plain percentile interval of n values is too narrow by sqrt(1 - 1/n) and by a normal's
    quantile instead of Student's; the expanded one reads wider percentiles of the same draws. Of
    normal data, where 95 % are asked for, it covers 73 % with 3 values, 91 with 5, 94 with 9 and
    95 with 30 (the plain one 73, 84, 89 and 94): no draw leaves the range of the values.

    Raises ValueError for no values, values that are not finite, fewer than one draw, and a level
    that is not between 0 and 1.

    >>> bootstrap_mean([3.0, 3.0, 3.0], np.random.default_rng(0), 100)
    Interval(mean=3.0, low=3.0, high=3.0, n=3)
    """
    sample = np.asarray(values, np.float64)
    if sample.ndim != 1 or not len(sample) or not np.isfinite(sample).all():
        raise ValueError("a mean needs values, all of them finite")
    if draws < 1 or not 0 < level < 1:
        raise ValueError(f"{draws=}: 1 or more; {level=}: between 0 and 1")
    n = len(sample)
    mean = float(sample.mean())
    if n == 1:
        return Interval(mean, math.nan, math.nan, 1)
    # Draw by draw: a thousand files times a thousand draws need no table of a million indices.
    means = np.array([sample[rng.integers(n, size=n)].mean() for _ in range(draws)])
    low, high = np.quantile(means, [tail := _tail(n, level), 1 - tail])
    return Interval(mean, float(low), float(high), n)


def _tail(n: int, level: float) -> float:
    """The percentile to read: the normal tail beyond sqrt(n / (n - 1)) times Student's quantile."""
    from scipy.special import ndtr, stdtrit

    return float(ndtr(math.sqrt(n / (n - 1)) * stdtrit(n - 1, (1 - level) / 2)))
