"""Disentanglement scores of tables that say how much each unit of a code tells of each factor.

Task: does every unit of a code stand for one factor, and every factor for one unit? Conventions:
tables are `(unit, factor)` and hold nothing negative and nothing undefined; 0 is no relation. All
scores lie between 0 and 1, higher is better; of no units they are 0. Which table a score takes:
mutual information in nats (MIG, modularity), squared correlation (SAP), absolute rank correlation
(SCC), or the importance of the unit in a prediction of the factor (DCI).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Table = NDArray[np.float64]
Factors = NDArray[np.float64]


@dataclass(frozen=True)
class Dci:
    """Disentanglement: a unit tells of one factor only. Completeness: one unit tells a factor."""

    disentanglement: float
    completeness: float


def mig_of(information_nats: Table, entropy_nats: Factors) -> float:
    """Mutual information gap (Chen et al. 2018, eq. 6): mean over factors of (I1 - I2) / H.

    I1 and I2 are the two largest informations that units have of the factor, H is its entropy. Of
    one unit I2 is 0.

    >>> mig_of(np.array([[1.0, 0.0], [0.5, 1.0]]), np.array([1.0, 2.0]))
    0.5
    """
    return float(np.mean(_gap(information_nats) / entropy_nats))


def sap_of(squared_correlation: Table) -> float:
    """Separated attribute predictability (Kumar et al. 2018, section 3): mean of S1 - S2.

    S1 and S2 are the largest squared correlations that units have with the factor, which is the
    paper's score of continuous factors. Differs: factors of few values are treated alike, where
    the paper takes the accuracy of a threshold.

    >>> sap_of(np.array([[1.0, 0.25], [0.5, 1.0]]))
    0.625
    """
    return float(np.mean(_gap(squared_correlation)))


def scc_of(rank_correlation: Table) -> float:
    """Mean over factors of the largest absolute Spearman correlation (AR-VAE, Pati & Lerch 2020).

    Says that a factor is in some unit, not that it is there alone.

    >>> scc_of(np.array([[1.0, 0.25], [0.5, 0.75]]))
    0.875
    """
    return float(np.mean(rank_correlation.max(0, initial=0.0)))


def modularity_of(information_nats: Table) -> float:
    """Modularity (Ridgeway & Mozer 2018): mean over units of 1 - others / (largest (K - 1)).

    Of the squares of what the unit tells of K factors: the largest, and the sum of the others. A
    unit that tells nothing counts 0, so that dead units lower the score; nan of one factor, which
    no unit can mix with another.

    >>> modularity_of(np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])) == 2 / 3
    True
    """
    units, factors = information_nats.shape
    if factors < 2:
        return math.nan
    squares = np.square(information_nats)
    largest = squares.max(1)
    others = squares.sum(1) - largest
    mixed = np.divide(others, largest * (factors - 1), out=np.ones(units), where=largest > 0)
    return float(np.mean(1 - mixed)) if units else 0.0


def interpretability_of(information_nats: Table, squared_correlation: Table) -> float:
    """Mean R^2 of a line from the most informative unit to the factor (Adel et al. 2018).

    As AR-VAE uses it (Pati & Lerch 2020): the line is fitted to the rows that it is judged by.

    >>> interpretability_of(np.array([[2.0], [1.0]]), np.array([[0.5], [0.9]]))
    0.5
    """
    if not len(information_nats):
        return 0.0
    chosen = information_nats.argmax(0)
    return float(np.mean(squared_correlation[chosen, np.arange(len(chosen))]))


def dci_of(importance: Table) -> Dci:
    """Disentanglement and completeness of a table of importances (Eastwood & Williams 2018, 2).

    D is the mean over units of 1 - H_K, the entropy to base K of the unit's importances for the K
    factors, weighted by the unit's share of all importance. C is the plain mean over factors of
    1 - H_D over the D units: factors weigh the same (disentanglement_lib weighs them by importance
    too). What has no importance at all counts 0. D of one factor and C of one unit are nan: nothing
    could be mixed.

    >>> dci_of(np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]))
    Dci(disentanglement=1.0, completeness=1.0)
    """
    weight = importance.sum(1)
    units = _concentration(importance)
    disentanglement = units @ weight / weight.sum() if weight.sum() > 0 else units.sum() * 0.0
    completeness = float(np.mean(_concentration(importance.T))) if len(importance) else 0.0
    return Dci(float(disentanglement), completeness)


def _gap(table: Table) -> Factors:
    """The largest number of every column, less the second largest."""
    if len(table) < 2:
        return table.sum(0)
    second, first = np.partition(table, -2, axis=0)[-2:]
    return first - second


def _concentration(table: Table) -> NDArray[np.float64]:
    """Of every row 1 less the entropy of its shares, to the base of their number; 0 of zeros."""
    rows, columns = table.shape
    if columns < 2:
        return np.full(rows, math.nan)
    total = table.sum(1, keepdims=True)
    share = np.divide(table, total, out=np.full(table.shape, 1 / columns), where=total > 0)
    terms = share * np.log(share, out=np.zeros(table.shape), where=share > 0)
    return np.maximum(0.0, 1 + terms.sum(1) / math.log(columns))
