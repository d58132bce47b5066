"""Progress for the person at the keyboard: one line at a time."""

import sys
import time
from typing import Any

import lightning.pytorch as pl

from timbrel.training.alarms import Alarms
from timbrel.training.callbacks import Validation
from timbrel.training.module import Training
from timbrel.words import duration


class Console(pl.Callback):
    """Step, epoch, time left, speed, loss terms and the last validation, every few seconds.

    An epoch is one pass over as much audio as the training part holds. An alarm that is raised or
    cleared is told at once.
    """

    def __init__(
        self,
        validation: Validation,
        *,
        steps_per_epoch: float,
        audio_s_per_step: float,
        every_s: float = 10.0,
        alarms: Alarms | None = None,
    ) -> None:
        self.validation, self.alarms = validation, alarms
        self.steps_per_epoch = steps_per_epoch
        self.audio_s_per_step = audio_s_per_step
        self.every_s = every_s
        self._last_line_s = 0.0
        self._validated = ""

    def on_train_batch_end(self, trainer: pl.Trainer, module: Training, *_: Any) -> None:
        """Write a line where due."""
        if self.validation.result:
            self._validated = f"  validation {self.validation.result['loss']:.3f}"
        now_s = time.monotonic()
        due = now_s - self._last_line_s >= self.every_s or trainer.should_stop
        if due and module.objective is not None:
            self._last_line_s = now_s
            sys.stderr.write(self.line(module) + "\n")
        if self.alarms is not None:
            sys.stderr.writelines(f"{change.line}\n" for change in self.alarms.changes)
        sys.stderr.flush()

    def line(self, module: Training) -> str:
        """The progress line."""
        horizon, objective = module.horizon, module.objective
        assert objective is not None
        total = horizon.last_step if horizon.last_step is not None else "?"
        speed = module.step * self.audio_s_per_step / max(horizon.elapsed_s, 1e-9)
        phase = module.phases[module.phase_number - 1].name
        where = f"phase {phase}  " if phase else ""
        terms = ", ".join(f"{name} {float(value):.3g}" for name, value in objective.terms.items())
        return (
            f"step {module.step}/{total}  {where}epoch {module.step / self.steps_per_epoch:.1f}  "
            f"{duration(horizon.left_s(module.step))} left  {speed:.0f} audio-s/s  "
            f"loss {float(objective.total):.3f} ({terms}){self._validated}"
        )
