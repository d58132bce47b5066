"""Alarms: what goes wrong with a training while it still can be stopped. Watchers: none acts.

An alarm watches one number of every validation against a limit from the config. It is raised once
the number has been beyond it for `patience` validations in a row, and cleared by the first that is
within. The names and numbers are those of the gates that `timbrel evaluate` checks at the end.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from timbrel.analysis.gates import WEAKER_PENALTY
from timbrel.training.callbacks import Validation
from timbrel.training.metrics_log import StepTable
from timbrel.training.module import Training

HEADER = ("step", "alarm", "state", "onset_step", "value", "limit", "advice")
RAISED, CLEARED = "raised", "cleared"

_WEAKER_PENALTY = f"stop and {WEAKER_PENALTY}"
_LESS_BY_HEART = (
    "train again with augmentation=standard or strong, with more recordings, with a narrower or "
    "more strongly penalised code (latent=...), or from a related model (init_from=)"
)


@dataclass(frozen=True, kw_only=True)
class AlarmLimits:
    """When to raise; an alarm whose limit is None is off."""

    grace_steps: int
    patience: int
    kl_floor_nats: float | None
    active_units: int | None
    decode_change: float | None
    held_out_ratio: float | None
    generalisation_gap: float | None


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


def code_readings(scores: Mapping[str, float], limits: AlarmLimits) -> Iterator[Reading]:
    """Posterior collapse, by what a validation says of the code; what it does not say is skipped.

    The limits are those of the gates: a rate above its floor and at least so many active units and
    so much change are good.
    """
    rate, units = scores.get("nats_per_frame"), scores.get("active_units")
    change = scores.get("decode_change")
    if rate is not None and limits.kl_floor_nats is not None:
        yield Reading(
            "kl_floor",
            rate,
            limits.kl_floor_nats,
            not rate > limits.kl_floor_nats,
            "the code carries next to nothing about the sound (nats per frame), the posterior is "
            f"collapsing: {_WEAKER_PENALTY}",
        )
    if units is not None and limits.active_units is not None:
        yield Reading(
            "active_units",
            units,
            limits.active_units,
            units < limits.active_units,
            "too few dimensions of the code differ from sound to sound, the posterior is "
            f"collapsing: {_WEAKER_PENALTY}",
        )
    if change is not None and limits.decode_change is not None:
        yield Reading(
            "decoder_listens",
            change,
            limits.decode_change,
            change < limits.decode_change,
            "another sound's code decodes to nearly the same sound, the decoder ignores the code: "
            f"{_WEAKER_PENALTY}, or, where the loss still falls, let it train longer",
        )


def overfitting_readings(
    held_out: Mapping[str, float], best: tuple[int, float], limits: AlarmLimits
) -> Iterator[Reading]:
    """Learning by heart: held-out loss over its `best` (step and loss), and the gap to training."""
    best_step, best_loss = best
    if limits.held_out_ratio is not None and best_loss > 0:
        ratio = held_out["loss"] / best_loss
        yield Reading(
            "held_out_loss",
            ratio,
            limits.held_out_ratio,
            ratio > limits.held_out_ratio,
            f"held-out loss was lowest at step {best_step}, since then the model learns its "
            f"recordings by heart: let it end (the weights of step {best_step} become the model), "
            "or stop it, which leaves no model, and train shorter "
            f"(trainer.max_steps={best_step}); or {_LESS_BY_HEART}",
        )
    if limits.generalisation_gap is not None and "gap" in held_out:
        yield Reading(
            "generalisation_gap",
            held_out["gap"],
            limits.generalisation_gap,
            held_out["gap"] > limits.generalisation_gap,
            "the loss on held-out recordings is far above that on training recordings (as a share "
            f"of it; held-out loss was lowest at step {best_step}): {_LESS_BY_HEART}",
        )


class Watch:
    """One alarm's memory: since when its number is beyond the limit, and whether it is raised."""

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

    def __init__(self, path: Path, validation: Validation, limits: AlarmLimits) -> None:
        self.validation, self.limits = validation, limits
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
        if self.changes and trainer.is_global_zero:
            self.table.append([change.row() for change in self.changes])

    def read(
        self, step: int, held_out: Mapping[str, float], train_clean: Mapping[str, float]
    ) -> None:
        """One validation's scores; what held-out chunks do not tell of the code, training ones do.

        In the grace period the best loss is remembered, and nothing is judged. Where a phase
        begins the best loss begins anew: another objective may cost some of it.
        """
        phase = held_out.get("phase", self.phase)
        if phase != self.phase:
            self.best, self.phase = None, phase
        best_loss = self.best[1] if self.best else math.inf
        if held_out and held_out["loss"] < best_loss:
            self.best = step, held_out["loss"]
        if step <= self.limits.grace_steps:
            return
        readings = list(code_readings({**train_clean, **held_out}, self.limits))
        if self.best is not None and held_out:
            readings += overfitting_readings(held_out, self.best, self.limits)
        for reading in readings:
            if math.isnan(reading.value):
                continue
            watch = self.watches.setdefault(reading.alarm, Watch())
            change = watch.read(step, reading, self.limits.patience)
            self.raised[reading.alarm] = watch.raised
            if change is not None:
                self.changes.append(change)

    def state_dict(self) -> dict[str, Any]:
        """The best loss and its phase, and how long each number has been beyond its limit."""
        watches = {name: dict(vars(watch)) for name, watch in self.watches.items()}
        best = list(self.best) if self.best else None
        return {"best": best, "phase": self.phase, "watches": watches}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take them up."""
        best = state_dict["best"]
        self.best = (int(best[0]), float(best[1])) if best else None
        self.phase = state_dict.get("phase", 0.0)  # an older one has none
        for name, memory in state_dict["watches"].items():
            self.watches[name] = Watch()
            vars(self.watches[name]).update(memory)
