"""Is every factor of sound in a unit of the code of its own? Scores, chance and intervals.

Task: judge codes `(row, unit)` by known attributes `(row, factor)`. Conventions are those of
`tables`; all scores lie between 0 and 1, higher is better. Groups are permuted, halved and held out
whole. `docs/disentanglement.md` says how scores are read, and how far few rows bias each.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from timbrel.metrics import latent
from timbrel.metrics.disentanglement.association import Estimator
from timbrel.metrics.disentanglement.tables import (
    CHEAP,
    FEWEST,
    METRICS,
    Codes,
    Floats,
    Groups,
    checked,
    scored,
    scores,
)
from timbrel.randomness import numpy_generator

DRAWS, TREE_DRAWS = 100, 20
_NORMAL_95 = 1.96


@dataclass(frozen=True)
class Score:
    """A score of the active units, and what to read it beside.

    `low` and `high` bound its 95 % interval; `null_mean` and `null_p95` are of codes and factors of
    different groups. These four are nan where no draws were asked for. `ceiling` is the score of
    the factors as their own code, `all_units` that of the code with its inactive units. `n` counts
    the rows in which each factor is defined, 0 where it does not vary or has below 10 groups: such
    a factor is not scored.
    """

    value: float
    low: float
    high: float
    null_mean: float
    null_p95: float
    ceiling: float
    all_units: float
    n: tuple[int, ...]
    n_groups: int


def evaluate(
    codes: Floats,
    factors: Floats,
    groups: NDArray[Any] | None = None,
    active: NDArray[np.bool_] | None = None,
    *,
    metrics: Sequence[str] = METRICS,
    draws: int = DRAWS,
    tree_draws: int = TREE_DRAWS,
    seed: int = 0,
    estimator: Estimator = "bins",
) -> dict[str, Score]:
    """Scores of the active units by name, each with its null, interval and ceiling.

    Units are active where they vary by more than 0.01 (`metrics.latent.active`), unless `active`
    says which are. The null gives every group the factors of another one, rows as they are, so that
    the factors keep their relations. The interval is the score plus and minus 1.96 deviations of
    the scores of random halves of the groups (the delete-half jackknife, Shao & Wu 1989): a
    bootstrap holds rows twice, which information and trees take for evidence. The ceiling is no
    strict bound, as a code may leave out what two factors share; factors without a value have their
    median in it. `draws` are those of null and interval, 0 for neither; scores of trees have
    `tree_draws`.

    Raises ValueError as `values` does, and where no factor can be scored.
    """
    z, v, of_rows = checked(codes, factors, groups)
    usable = scored(v, of_rows)
    if not usable.any():
        raise ValueError(f"no factor varies and is defined in {FEWEST} rows (groups) or more")
    used = latent.active(latent.variances(z, z[:, :0])) if active is None else active
    if used.shape != (z.shape[1],):
        raise ValueError(f"{z.shape[1]} units, but active is {used.shape}")
    n = tuple(int(rows) for rows in np.isfinite(v).sum(0) * usable)
    n_groups = int(of_rows.max()) + 1
    v, pruned = v[:, usable], z[:, used]

    def of(units: Codes, known: Codes, names: Sequence[str] = metrics) -> dict[str, float]:
        return scores(units, known, of_rows, names, seed, estimator)

    found = of(pruned, v)
    whole = found if used.all() else of(z, v)
    ceiling = of(np.where(np.isfinite(v), v, np.nanmedian(v, 0)), v)
    null: dict[str, list[float]] = {name: [] for name in metrics}
    halves: dict[str, list[float]] = {name: [] for name in metrics}
    for draw in range(max(draws, tree_draws)):
        asked = [name for name in metrics if draw < (draws if name in CHEAP else tree_draws)]
        rng = numpy_generator(seed, draw, "disentanglement draw")
        rows = _half(of_rows, rng)
        for name, value in of(pruned, v[_others(of_rows, rng)], asked).items():
            null[name].append(value)
        part = scores(pruned[rows], v[rows], of_rows[rows], asked, seed, estimator, half=True)
        for name, value in part.items():
            halves[name].append(value)
    taken = n_groups // 2
    scale = _NORMAL_95 * math.sqrt(taken / (n_groups - taken))
    results = {}
    for name in metrics:
        error = scale * _over(np.std, halves[name])
        results[name] = Score(
            value=found[name],
            low=_within(found[name] - error),
            high=_within(found[name] + error),
            null_mean=_over(np.mean, null[name]),
            null_p95=_over(_p95, null[name]),
            ceiling=ceiling[name],
            all_units=whole[name],
            n=n,
            n_groups=n_groups,
        )
    return results


def _others(groups: Groups, rng: np.random.Generator) -> NDArray[np.int64]:
    """For every row one of the group that its own is given, repeated or cut to the same length."""
    members = _members(groups)
    rows = np.empty(len(groups), np.int64)
    for own, other in zip(members, rng.permutation(len(members)), strict=True):
        rows[own] = np.resize(members[other], len(own))
    return rows


def _half(groups: Groups, rng: np.random.Generator) -> NDArray[np.int64]:
    """The rows of half of the groups."""
    n = int(groups.max()) + 1
    return np.flatnonzero(np.isin(groups, rng.permutation(n)[: n // 2]))


def _members(groups: Groups) -> list[NDArray[np.int64]]:
    """The rows of every group."""
    order = np.argsort(groups, kind="stable")
    return np.split(order, np.cumsum(np.bincount(groups))[:-1])


def _over(statistic: Any, drawn: list[float]) -> float:
    """A statistic of the draws that have a score; nan of none."""
    known = [value for value in drawn if math.isfinite(value)]
    return float(statistic(known)) if known else math.nan


def _p95(drawn: list[float]) -> float:
    return float(np.quantile(drawn, 0.95))


def _within(bound: float) -> float:
    """A bound cut to what a score can be; nan as it is."""
    return float(np.clip(bound, 0.0, 1.0))
