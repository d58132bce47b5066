"""Alarms: warnings about a training while it runs. An alarm never stops or changes the training.

An alarm compares one number of every validation with a limit of `limits.*`. It is raised when the
number has been beyond the limit for `patience` validations in a row, and cleared by the first
validation within the limit. Names and numbers are those of the gates of `timbrel evaluate`.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from timbrel.config.limits import LIMITS, ByKey
from timbrel.training.callbacks import Validation
from timbrel.training.metrics_log import StepTable
from timbrel.training.module import Training

HEADER = ("step", "alarm", "state", "onset_step", "value", "limit", "advice")
RAISED, CLEARED = "raised", "cleared"


@dataclass(frozen=True)
class Reading:
    """One number at one validation: whether it is beyond its limit, and what to do if so."""

    alarm: str
    value: float
    limit: float
    beyond: bool
    advice: str


@dataclass(frozen=True)
class Change:
    """An alarm raised or cleared; `onset_step` is the first validation beyond the limit."""

    step: int
    state: str
    onset_step: int
    reading: Reading

    @property
    def line(self) -> str:
        """For the terminal."""
        reading = self.reading
        if self.state == CLEARED:
            return (
                f"alarm cleared: {reading.alarm} at step {self.step}: "
                f"{reading.value:.3g} is within {reading.limit:.3g} again"
            )
        return (
            f"ALARM {reading.alarm} since step {self.onset_step}: {reading.value:.3g} "
            f"(limit {reading.limit:.3g}): {reading.advice}"
        )

    def row(self) -> tuple[object, ...]:
        """As alarms.csv has it."""
        reading = self.reading
        numbers = (repr(float(reading.value)), repr(float(reading.limit)))
        advice = reading.advice if self.state == RAISED else ""
        return (self.step, reading.alarm, self.state, self.onset_step, *numbers, advice)


def readings(numbers: Mapping[str, float], limits: ByKey, best_step: int) -> Iterator[Reading]:
    """A reading of every number that has an alarm and a limit (`config.limits`).

    Alarms whose number is not in `numbers` are skipped. `best_step` is the step of the lowest
    held-out loss.
    """
    for alarm, about in LIMITS.items():
        limit = limits[about.key]
        if about.reads not in numbers or limit is None:
            continue
        value = numbers[about.reads]
        beyond = not about.holds(value, limit)
        yield Reading(alarm, value, limit, beyond, about.alarm.format(step=best_step))


class Watch:
    """The state of one alarm: how long its number is beyond the limit, and if it is raised."""

    def __init__(self) -> None:
        self.beyond = 0
        self.onset_step = 0
        self.raised = False

    def read(self, step: int, reading: Reading, patience: int) -> Change | None:
        """What changes at this step."""
        if not reading.beyond:
            was_raised, self.raised, self.beyond = self.raised, False, 0
            return Change(step, CLEARED, self.onset_step, reading) if was_raised else None
        if self.beyond == 0:
            self.onset_step = step
        self.beyond += 1
        if self.raised or self.beyond < patience:
            return None
        self.raised = True
        return Change(step, RAISED, self.onset_step, reading)


class Alarms(pl.Callback):
    """Reads every validation and writes `alarms.csv`.

    `changes` holds what was raised or cleared at this step, and `raised` every alarm that could be
    read, both empty between validations; the terminal and W&B follow them.
    """

    def __init__(
        self,
        path: Path,
        validation: Validation,
        limits: ByKey,
        *,
        grace_steps: int,
        patience: int,
    ) -> None:
        self.validation, self.limits = validation, limits
        self.grace_steps, self.patience = grace_steps, patience
        self.table = StepTable(path, HEADER)
        self.best: tuple[int, float] | None = None
        self.phase = 0.0
        self.watches: dict[str, Watch] = {}
        self.changes: list[Change] = []
        self.raised: dict[str, bool] = {}

    def on_train_batch_end(self, trainer: pl.Trainer, module: Training, *_: Any) -> None:
        """Read what was just validated."""
        self.changes, self.raised = [], {}
        held_out, clean = self.validation.result, self.validation.train_clean
        self.read(module.step, held_out or {}, clean or {})
        if self.changes:
            self.table.append([change.row() for change in self.changes])

    def read(
        self, step: int, held_out: Mapping[str, float], train_clean: Mapping[str, float]
    ) -> None:
        """Read the numbers of one validation; those missing in `held_out` come from `train_clean`.

        During the first `grace_steps` only the best loss is updated and no alarm is raised. Each
        phase has its own best loss, because its objective may differ.
        """
        phase = held_out.get("phase", self.phase)
        if phase != self.phase:
            self.best, self.phase = None, phase
        best_loss = self.best[1] if self.best else math.inf
        if held_out and held_out["loss"] < best_loss:
            self.best = step, held_out["loss"]
        if step <= self.grace_steps:
            return
        numbers = {**train_clean, **held_out}
        if held_out and self.best is not None and self.best[1] > 0:
            numbers["held_out_ratio"] = held_out["loss"] / self.best[1]
        for reading in readings(numbers, self.limits, self.best[0] if self.best else 0):
            if math.isnan(reading.value):
                continue
            watch = self.watches.setdefault(reading.alarm, Watch())
            change = watch.read(step, reading, self.patience)
            self.raised[reading.alarm] = watch.raised
            if change is not None:
                self.changes.append(change)

    def state_dict(self) -> dict[str, Any]:
        """The best loss and its phase, and how long each number has been beyond its limit."""
        watches = {name: dict(vars(watch)) for name, watch in self.watches.items()}
        best = list(self.best) if self.best else None
        return {"best": best, "phase": self.phase, "watches": watches}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        best = state_dict["best"]
        self.best = (int(best[0]), float(best[1])) if best else None
        self.phase = state_dict.get("phase", 0.0)  # an older one has none
        for name, memory in state_dict["watches"].items():
            self.watches[name] = Watch()
            vars(self.watches[name]).update(memory)
