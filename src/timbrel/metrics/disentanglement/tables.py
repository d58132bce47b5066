"""The scores of codes and factors by name: rows in, numbers out.

Task: tables of units by factors from data, and the scores of `measures` from these. Conventions:
`codes` are `(row, unit)`, `factors` `(row, factor)`, `groups` `(row)`: rows of one group (the
frames of a file) are one sample. nan is an undefined factor (the f0 of noise): the row is left out
for that factor alone. Factors of few values are numbers too.
"""

import math
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from timbrel.metrics.disentanglement import association, measures, trees
from timbrel.metrics.disentanglement.association import Estimator, Information
from timbrel.randomness import numpy_generator

FEWEST = 10
"""Groups in which a factor must be defined to be scored."""
_STEADY = 1e-6  # what varies by less of its largest value is constant but for rounding

Floats = NDArray[np.floating[Any]]
Codes = NDArray[np.float64]
Groups = NDArray[np.int64]


class Tables:
    """Tables of units by factors, each made when a score asks for it.

    Of factors that vary, and over more than one group; `seed` is that of the trees. Where the rows
    are those of a half of the groups, as many bins are taken as of the whole.
    """

    def __init__(
        self,
        codes: Codes,
        factors: Codes,
        groups: Groups,
        seed: int,
        estimator: Estimator,
        *,
        half: bool = False,
    ) -> None:
        self.seed, self.estimator, self.half = seed, estimator, half
        self.units = codes.shape[1]
        # Of every factor the rows in which it is defined.
        self.columns = [
            (codes[known], factor[known], groups[known])
            for factor, known in zip(factors.T, np.isfinite(factors).T, strict=True)
            if _varies(factor[known]) and len(np.unique(groups[known])) > 1
        ]

    @cached_property
    def information(self) -> list[Information]:
        """Of every factor what units tell of it; groups count as the independent rows."""
        found = []
        for z, v, groups in self.columns:
            n = len(np.unique(groups))
            bins = association.bins_for(2 * n if self.half else n)
            found.append(association.information(z, v, n, self.estimator, bins))
        return found

    @cached_property
    def information_nats(self) -> Codes:
        """Nats that units tell of factors."""
        return self._table([x.nats for x in self.information])

    @cached_property
    def certain_nats(self) -> Codes:
        """The same, 0 where chance would tell as much."""
        return self._table([x.nats * x.certain for x in self.information])

    @cached_property
    def squared_correlation(self) -> Codes:
        """Squared Pearson correlations."""
        return self._table([association.correlation(z, v) ** 2 for z, v, _ in self.columns])

    @cached_property
    def rank_correlation(self) -> Codes:
        """Absolute Spearman correlations."""
        return self._table([abs(association.rank_correlation(z, v)) for z, v, _ in self.columns])

    @cached_property
    def trees(self) -> tuple[Codes, float]:
        """Importances, and the mean R^2 on rows held out."""
        rng = numpy_generator(self.seed, 0, "disentanglement trees")
        found = [trees.importance(z, v, groups, rng) for z, v, groups in self.columns]
        explained = float(np.mean([r_squared for _, r_squared in found]))
        return self._table([of_units for of_units, _ in found]), explained

    @cached_property
    def dci(self) -> measures.Dci:
        """Disentanglement and completeness of the importances."""
        return measures.dci_of(self.trees[0])

    def _table(self, columns: Sequence[NDArray[np.float64]]) -> Codes:
        return np.stack(columns, axis=1) if columns else np.zeros((self.units, 0))


_OF_TABLES: dict[str, Callable[[Tables], float]] = {
    "mig": lambda x: measures.mig_of(
        x.information_nats, np.array([factor.entropy_nats for factor in x.information])
    ),
    "sap": lambda x: measures.sap_of(x.squared_correlation),
    "modularity": lambda x: measures.modularity_of(x.certain_nats),
    "scc": lambda x: measures.scc_of(x.rank_correlation),
    "interpretability": lambda x: measures.interpretability_of(
        x.information_nats, x.squared_correlation
    ),
    "dci_disentanglement": lambda x: x.dci.disentanglement,
    "dci_completeness": lambda x: x.dci.completeness,
    "dci_informativeness": lambda x: x.trees[1],
}
METRICS = tuple(_OF_TABLES)
WATCHED = METRICS[:4]
"""Those that a training follows."""
CHEAP = METRICS[:5]
"""Those that need no trees: milliseconds of a few hundred rows."""


def values(
    codes: Floats,
    factors: Floats,
    groups: NDArray[Any] | None = None,
    *,
    metrics: Sequence[str] = CHEAP,
    seed: int = 0,
    estimator: Estimator = "bins",
) -> dict[str, float]:
    """The scores by name, of all units and of the factors that can be scored; nan where none can.

    Raises ValueError for arrays that do not fit, codes that are not finite, and unknown names.

    >>> factors = np.random.default_rng(0).random((1000, 3))
    >>> round(values(factors, factors, metrics=["scc"])["scc"], 6)
    1.0
    """
    z, v, of_rows = checked(codes, factors, groups)
    return scores(z, v[:, scored(v, of_rows)], of_rows, metrics, seed, estimator)


def rank_correlations(codes: Floats, factors: Floats) -> Codes:
    """The table `(unit, factor)` of absolute Spearman correlations; 0 where a side is constant.

    nan where a factor has fewer than two values. Raises ValueError as `values`.
    """
    z, v, _ = checked(codes, factors, None)
    table = np.full((z.shape[1], v.shape[1]), math.nan)
    for column, (factor, known) in enumerate(zip(v.T, np.isfinite(v).T, strict=True)):
        if known.sum() > 1:
            table[:, column] = abs(association.rank_correlation(z[known], factor[known]))
    return table


def scores(
    codes: Codes,
    factors: Codes,
    groups: Groups,
    metrics: Sequence[str],
    seed: int,
    estimator: Estimator,
    *,
    half: bool = False,
) -> dict[str, float]:
    """What `values` gives, of arrays that are checked; `half` as in `Tables`."""
    if unknown := set(metrics) - set(METRICS):
        raise ValueError(f"no such scores: {', '.join(sorted(unknown))}; there are {METRICS}")
    tables = Tables(codes, factors, groups, seed, estimator, half=half)
    return {name: _OF_TABLES[name](tables) if tables.columns else math.nan for name in metrics}


def checked(
    codes: Floats, factors: Floats, groups: NDArray[Any] | None
) -> tuple[Codes, Codes, Groups]:
    """Both as float64, and the group of every row as a number from 0.

    Raises ValueError for arrays that do not fit, and codes or factors that are infinite.
    """
    if codes.ndim != 2 or factors.ndim != 2 or len(codes) != len(factors):
        raise ValueError(f"codes {codes.shape} and factors {factors.shape}: (row, column) of both")
    if not np.isfinite(codes).all() or np.isinf(factors).any():
        raise ValueError("codes must be finite, and factors finite or nan where undefined")
    names = np.arange(len(codes)) if groups is None else groups
    if names.shape != (len(codes),):
        raise ValueError(f"groups {names.shape}: one for each of {len(codes)} rows")
    _, of_rows = np.unique(names, return_inverse=True)
    return codes.astype(np.float64), factors.astype(np.float64), of_rows.astype(np.int64)


def scored(factors: Codes, groups: Groups) -> NDArray[np.bool_]:
    """Which factors vary and are defined in 10 groups or more."""
    known = np.isfinite(factors)
    return np.array(
        [
            len(np.unique(groups[rows])) >= FEWEST and _varies(factor[rows])
            for factor, rows in zip(factors.T, known.T, strict=True)
        ],
        bool,
    )


def _varies(column: NDArray[np.float64]) -> bool:
    return len(column) > 0 and bool(np.ptp(column) > _STEADY * np.abs(column).max())
