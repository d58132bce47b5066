"""The search itself: draw trials, have them trained, tell the study how they ended.

A study is shared by any number of workers, each of which runs `search`. Knows nothing of Hydra: a
`Launch` trains a batch of trials, in whatever way.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from timbrel.errors import UserError
from timbrel.sweeps.search.goals import Constraint, Objective
from timbrel.sweeps.search.note import Ending
from timbrel.sweeps.search.space import Space
from timbrel.sweeps.search.store import LOST, reason
from timbrel.sweeps.search.workers import REASON, RELEASED, Signs, release, release_dead

NUMBERS, FOLDER, OVERRIDES, TWIN = "numbers", "folder", "overrides", "same_as"
"""What is kept with a trial beside its parameters."""
_AGAIN_S = 10.0

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Drawn:
    """A trial to train: its number and what it sets, by key."""

    number: int
    overrides: Mapping[str, str]


Launch = Callable[[Sequence[Drawn]], Sequence[Ending]]
"""Trains the trials of a batch; an ending for each, in order."""


@dataclass(frozen=True)
class Goals:
    """What is searched for, and for how long."""

    space: Space
    objectives: tuple[Objective, ...]
    constraints: tuple[Constraint, ...]
    n_trials: int
    """In all, with those that the study has already."""
    at_once: int = 1
    dead_after_s: float = 600.0

    @property
    def numbers(self) -> tuple[str, ...]:
        """The numbers that a training has to hand over."""
        names = [o.name for o in self.objectives] + [c.name for c in self.constraints]
        return tuple(dict.fromkeys(names))


def counts(trial: FrozenTrial) -> bool:
    """Whether a trial is one of those that were asked for: it is running, or ended of itself."""
    return trial.state != TrialState.WAITING and RELEASED not in trial.user_attrs


def search(study: optuna.Study, goals: Goals, launch: Launch, tell: Tell) -> None:
    """Train until the study has `goals.n_trials` trials, those of other workers counted.

    A trial that fails is recorded with its reason, and the others go on. What interrupts the
    launcher, such as Ctrl-C, goes through; the trials at work are queued for whoever goes on. A
    storage that is out of reach when a training ends is waited for, as long as others take this
    worker for alive.
    """
    with Signs(study) as signs:
        while batch := _asked(study, goals, signs, tell):
            drawn = [Drawn(trial.number, trial.user_attrs[OVERRIDES]) for trial in batch]
            try:
                endings = launch(drawn)
            except BaseException:
                with suppress(*LOST):  # others will find that this worker is gone
                    for trial in batch:
                        release(study, _frozen(study, trial), "stopped")
                raise
            for trial, ending in zip(batch, endings, strict=True):
                _record_patiently(study, trial, ending, goals, tell)


def _asked(study: optuna.Study, goals: Goals, signs: Signs, tell: Tell) -> list[optuna.trial.Trial]:
    """The next batch, drawn and signed; empty where the study has enough.

    What was drawn and trained before gets the numbers it had.
    """
    for number in release_dead(study, limit_s=goals.dead_after_s):
        tell(f"trial {number}: its worker is gone; it is trained again")
    batch: list[optuna.trial.Trial] = []
    while len(batch) < goals.at_once and _left(study, goals) > 0:
        trial = study.ask()
        signs.on([*(other._trial_id for other in batch), trial._trial_id])
        try:
            overrides = goals.space.drawn(trial)
        except UserError:
            release(study, _frozen(study, trial), "drawn from another space", again=False)
            raise
        trial.set_user_attr(OVERRIDES, overrides)
        earlier = study.get_trials(deepcopy=False)[: trial.number]
        if sum(map(counts, earlier)) >= goals.n_trials:  # another worker asked at the same time
            release(study, _frozen(study, trial), "one more than asked for", again=False)
            break
        twin = next((t for t in earlier if _complete_with(t, overrides)), None)
        if twin is None:
            batch.append(trial)
            continue
        trial.set_user_attr(TWIN, twin.number)
        ending = Ending(twin.user_attrs[NUMBERS], folder=twin.user_attrs[FOLDER])
        _record(study, trial, ending, goals)
        tell(f"trial {trial.number}: the same as trial {twin.number}; not trained again")
    return batch


def _left(study: optuna.Study, goals: Goals) -> int:
    return goals.n_trials - sum(map(counts, study.get_trials(deepcopy=False)))


def _complete_with(trial: FrozenTrial, overrides: Mapping[str, str]) -> bool:
    """Whether a trial of the same values is complete: a training repeats itself exactly."""
    return trial.state == TrialState.COMPLETE and trial.user_attrs[OVERRIDES] == overrides


def _record_patiently(
    study: optuna.Study, trial: optuna.trial.Trial, ending: Ending, goals: Goals, tell: Tell
) -> None:
    """`_record`, again and again for `dead_after_s` where the storage is out of reach."""
    end_s = time.monotonic() + goals.dead_after_s
    waits = False
    while True:
        try:
            words = _record(study, trial, ending, goals)
        except LOST as error:
            if time.monotonic() > end_s:
                raise
            if not waits:
                tell(f"trial {trial.number}: the storage is out of reach ({reason(error)}); waits")
            waits = True
            time.sleep(min(_AGAIN_S, goals.dead_after_s / 10))
        else:
            tell(f"trial {trial.number}: {words}")
            return


def _record(study: optuna.Study, trial: optuna.trial.Trial, ending: Ending, goals: Goals) -> str:
    """Tell the study how `trial` ended, unless it knows; the same in words."""
    why = ending.failed or _unmeasured(ending, goals)
    if ending.pruned_at is not None:
        why = f"pruned at step {ending.pruned_at}"
    found = _frozen(study, trial)
    if not found.state.is_finished():
        _tell_study(study, trial, ending, goals, why)
    elif found.user_attrs.get(FOLDER) != ending.folder or found.user_attrs.get(REASON, "") != why:
        return "given up by another worker, which had no sign of this one; not recorded"
    if why:
        return why if ending.pruned_at is not None else f"failed: {why}"
    told = ", ".join(f"{name} {value:.4g}" for name, value in ending.numbers.items())
    broken = [c.text for c in goals.constraints if c.excess(ending.numbers[c.name]) > 0]
    return told + (f" (breaks {', '.join(broken)})" if broken else "")


def _tell_study(
    study: optuna.Study, trial: optuna.trial.Trial, ending: Ending, goals: Goals, why: str
) -> None:
    trial.set_user_attr(FOLDER, ending.folder)
    if why:
        trial.set_user_attr(REASON, why)
        pruned = ending.pruned_at is not None
        study.tell(trial, state=TrialState.PRUNED if pruned else TrialState.FAIL)
        return
    trial.set_user_attr(NUMBERS, dict(ending.numbers))
    for limit in goals.constraints:
        trial.set_constraint(limit.text, limit.excess(ending.numbers[limit.name]))
    study.tell(trial, [ending.numbers[objective.name] for objective in goals.objectives])


def _unmeasured(ending: Ending, goals: Goals) -> str:
    """Which number could not be measured; empty where all were."""
    if ending.pruned_at is not None:
        return ""
    missing = [n for n in goals.numbers if not math.isfinite(ending.numbers.get(n, math.nan))]
    return f"no finite {', '.join(missing)}" if missing else ""


def _frozen(study: optuna.Study, trial: optuna.trial.Trial) -> Any:
    return study._storage.get_trial(trial._trial_id)
