"""Pruning: the callback of a training, and a real study that judges it."""

import math
from pathlib import Path
from types import SimpleNamespace

import pytest
from optuna.trial import TrialState

from timbrel.errors import UserError
from timbrel.sweeps.search.live import LiveTrial
from timbrel.sweeps.search.note import TrialNote
from timbrel.sweeps.search.store import join_study, open_storage
from timbrel.training.callbacks import Validation
from timbrel.training.pruning import Pruning

MEDIAN = {"_target_": "optuna.pruners.MedianPruner", "n_startup_trials": 2}


def curve(journal: Path, level: float, *, direction: str = "minimize") -> int | None:
    """A training of five validations whose loss nears `level`; the step of its pruning."""
    study, _ = join_study(open_storage(str(journal)), "s", [direction])
    trial = study.ask()
    note = TrialNote(str(journal), "s", trial.number, (), "validation/loss", MEDIAN)
    validation = Validation([], 10)
    pruning = Pruning(validation, LiveTrial(note).report)
    trainer = SimpleNamespace(should_stop=False)
    for step in range(10, 60, 10):
        validation.result = {"loss": level + 1.0 / step}
        trainer.should_stop = step == 50
        pruning.on_train_batch_end(trainer, SimpleNamespace(step=step))
        assert trainer.should_stop == (step == 50 or pruning.pruned_at is not None)
        if trainer.should_stop:
            break
        validation.result = None
        pruning.on_train_batch_end(trainer, SimpleNamespace(step=step + 1))
    if pruning.pruned_at is None:
        study.tell(trial, level)
    else:
        study.tell(trial, state=TrialState.PRUNED)
    return pruning.pruned_at


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_the_median_decides_between_validations(tmp_path: Path, direction: str) -> None:
    """A loss is watched, whichever way the objective goes."""
    ends = [curve(tmp_path / "j", level, direction=direction) for level in (1.0, 3.0, 2.5, 0.5)]
    assert ends == [None, None, 10, None]
    study, _ = join_study(open_storage(str(tmp_path / "j")), "s", [direction])
    sign = 1.0 if direction == "minimize" else -1.0
    assert study.trials[0].intermediate_values == {
        step: pytest.approx(sign * (1.0 + 1.0 / step)) for step in range(10, 60, 10)
    }


def test_a_loss_that_is_no_number_ends_the_trial(tmp_path: Path) -> None:
    assert curve(tmp_path / "j", math.nan) == 10


def test_what_is_watched_must_be_there(tmp_path: Path) -> None:
    study, _ = join_study(open_storage(str(tmp_path / "j")), "s", ["minimize"])
    note = TrialNote(str(tmp_path / "j"), "s", study.ask().number, (), "validation/los", MEDIAN)
    with pytest.raises(UserError, match=r"no such number \(loss\); did you mean 'loss'"):
        LiveTrial(note).report(1, {"loss": 1.0})
