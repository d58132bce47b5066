"""The trial of a search inside its job: what it reports, and whether it is to be pruned."""

import math
import os
import warnings
from collections.abc import Mapping
from functools import cache
from typing import Any

from optuna import load_study
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import Trial

from timbrel.errors import UserError, did_you_mean
from timbrel.sweeps.search.note import TrialNote
from timbrel.sweeps.search.store import LOST, in_reach, made, open_storage, reason


@cache
def _opened(place: str, process: int) -> BaseStorage:
    """A journal is read whole once, not for each trial; a forked process opens it for itself."""
    return open_storage(place)


class LiveTrial:
    """A trial that another process, or this one, has drawn.

    Raises UserError where its study cannot be reached.
    """

    def __init__(self, note: TrialNote) -> None:
        with in_reach(note.storage, "start the training again once it is back"):
            storage = _opened(note.storage, os.getpid())
            study = load_study(
                study_name=note.study,
                storage=storage,
                pruner=made(note.pruner, "hydra.sweeper.pruner"),
            )
            number = storage.get_trial_id_from_study_id_trial_number(study._study_id, note.number)
        self.trial: Any = Trial(study, number)
        # A pruner goes by the study's direction; what is watched is a loss.
        self._sign = -1.0 if study.direction == StudyDirection.MAXIMIZE else 1.0
        self._watched = note.watched.removeprefix("validation/")

    def report(self, step: int, result: Mapping[str, float]) -> bool:
        """Tell the study of a validation; whether the trial is to end.

        One that a storage out of reach does not take is left out, and the training goes on. Raises
        UserError where a validation has no number of the watched name.
        """
        if self._watched not in result:
            raise UserError(
                f"hydra.sweeper.watched=validation/{self._watched}: a validation has no such "
                f"number ({', '.join(result)}){did_you_mean(self._watched, result)}"
            )
        value = result[self._watched]
        if not math.isfinite(value):
            return True
        try:
            self.trial.report(self._sign * value, step)
            return bool(self.trial.should_prune())
        except LOST as error:
            warnings.warn(
                f"step {step}: the search is not told of this validation, its storage is out of "
                f"reach ({reason(error)})",
                stacklevel=2,
            )
            return False
