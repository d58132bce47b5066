"""What a study found: its best trials, its front, what failed; as plain values for the page."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from timbrel.sweeps.search.goals import Constraint, Objective
from timbrel.sweeps.search.note import DEFAULTS
from timbrel.sweeps.search.search import FOLDER, NUMBERS, OVERRIDES, TWIN, Goals, counts
from timbrel.sweeps.search.workers import REASON

MOST_BEST = 5


@dataclass(frozen=True)
class Tried:
    """A trial as the page shows it."""

    number: int
    state: str
    """complete, pruned, failed, or running."""
    values: tuple[float, ...]
    """Of the objectives; empty where it gave none."""
    numbers: dict[str, float]
    params: dict[str, Any]
    label: str
    overrides: dict[str, str]
    broken: tuple[str, ...]
    """The constraints that it breaks."""
    reason: str
    folder: str
    at_default: bool
    same_as: int | None
    """An earlier trial of the same values, whose numbers it has."""

    @property
    def feasible(self) -> bool:
        """Whether it gave its numbers and keeps every limit."""
        return self.state == "complete" and not self.broken


def tried(study: optuna.Study, goals: Goals) -> list[Tried]:
    """Every trial of the study that counts, in order."""
    found = []
    for trial in study.get_trials(deepcopy=False):
        if counts(trial):
            found.append(_tried(trial, goals))
    return found


def _tried(trial: FrozenTrial, goals: Goals) -> Tried:
    told = trial.user_attrs
    numbers = told.get(NUMBERS, {})
    complete = trial.state == TrialState.COMPLETE
    state = "failed" if trial.state == TrialState.FAIL else trial.state.name.lower()
    return Tried(
        number=trial.number,
        state=state,
        values=tuple(trial.values) if complete else (),
        numbers=numbers,
        params=dict(trial.params),
        label=goals.space.label(trial.params),
        overrides=told.get(OVERRIDES, {}),
        broken=tuple(broken(numbers, goals.constraints)) if complete else (),
        reason=told.get(REASON, ""),
        folder=told.get(FOLDER, ""),
        at_default=bool(told.get(DEFAULTS)),
        same_as=told.get(TWIN),
    )


def broken(numbers: dict[str, float], constraints: Sequence[Constraint]) -> Iterator[str]:
    """The constraints that these numbers break."""
    for limit in constraints:
        if limit.name in numbers and limit.excess(numbers[limit.name]) > 0:
            yield limit.text


def best(trials: Sequence[Tried], objectives: Sequence[Objective]) -> list[Tried]:
    """The best trials that keep every limit: the first few, or the front of several objectives."""
    feasible = [trial for trial in trials if trial.feasible and trial.same_as is None]
    if len(objectives) > 1:
        return front(feasible, objectives)
    sign = 1.0 if objectives[0].direction == "minimize" else -1.0
    return sorted(feasible, key=lambda trial: sign * trial.values[0])[:MOST_BEST]


def front(trials: Sequence[Tried], objectives: Sequence[Objective]) -> list[Tried]:
    """Those that no other trial beats in one objective without losing in another (Pareto).

    In order of the first objective, the best first; of equal ones the earliest.
    """
    signs = [1.0 if o.direction == "minimize" else -1.0 for o in objectives]
    costs = {t.number: tuple(s * v for s, v in zip(signs, t.values, strict=True)) for t in trials}
    kept: list[Tried] = []
    for trial in trials:
        own = costs[trial.number]
        beaten = any(
            all(a <= b for a, b in zip(costs[other.number], own, strict=True))
            and (costs[other.number] != own or other.number < trial.number)
            for other in trials
            if other is not trial
        )
        if not beaten:
            kept.append(trial)
    return sorted(kept, key=lambda trial: costs[trial.number])


def importances(study: optuna.Study, goals: Goals) -> list[tuple[str, dict[str, float]]]:
    """For each objective, the share of its variation that each parameter explains.

    Empty where there are too few trials to tell, or nothing varies.
    """
    found = []
    for index, objective in enumerate(goals.objectives):
        # Optuna asks what makes a value low.
        sign = 1.0 if objective.direction == "minimize" else -1.0

        def cost(trial: FrozenTrial, index: int = index, sign: float = sign) -> float:
            return sign * trial.values[index]

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that it does so
                shares = optuna.importance.get_param_importances(study, target=cost)
        except (ValueError, RuntimeError, ImportError):
            continue
        if shares:
            found.append((objective.name, {name: float(share) for name, share in shares.items()}))
    return found
