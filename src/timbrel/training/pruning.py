"""A controller: ends a training whose trial is not worth its time, as its search judges."""

from collections.abc import Callable, Mapping
from typing import Any

import lightning.pytorch as pl

from timbrel.training.callbacks import Validation
from timbrel.training.module import Training

Report = Callable[[int, Mapping[str, float]], bool]
"""Tells the search of a validation, by step; whether the trial is to end."""


class Pruning(pl.Callback):
    """Reports every validation of held-out chunks, and stops where the answer says so.

    `pruned_at` is the step of the stop; None while there is none. A validation at the end of the
    training is reported and ends nothing. Must come after `Validation`, before the checkpoints.
    """

    def __init__(self, validation: Validation, report: Report) -> None:
        self.validation, self.report = validation, report
        self.pruned_at: int | None = None

    def on_train_batch_end(self, trainer: pl.Trainer, module: Training, *_: Any) -> None:
        """Report this step's validation, if there was one."""
        result = self.validation.result
        if not result:
            return
        if self.report(module.step, result) and not trainer.should_stop:
            self.pruned_at = module.step
            trainer.should_stop = True
