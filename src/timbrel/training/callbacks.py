"""What happens after a step, in this order: clock, validate, log, watch, stop, save.

Validation and checkpoints hang on the end of a step rather than on Lightning's validation loop, so
that a checkpoint always holds a whole step: killed anywhere and resumed, a run repeats its curve.
"""

import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch

from timbrel import stopping
from timbrel.contracts import Batch
from timbrel.runs.selection import as_good
from timbrel.training.checkpoint import BEST, LAST, is_whole
from timbrel.training.code_scores import MeasuredChunks, code_scores
from timbrel.training.metrics_log import MetricsLog
from timbrel.training.module import Training
from timbrel.training.validation import gap, validate


class Clock(pl.Callback):
    """Tells the horizon the time and stops the training when it is reached."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._start_s = 0.0
        self.measured = False

    def on_train_start(self, trainer: pl.Trainer, module: Training) -> None:
        """Time counts from the first batch, and goes on from where a checkpoint left it."""
        self._start_s = self._now_s() - module.horizon.elapsed_s
        if module.horizon.reached(module.step):
            trainer.should_stop = True

    def on_train_batch_end(self, trainer: pl.Trainer, module: Training, *_: Any) -> None:
        """Measure the horizon when it is due; stop at it, or where a stop was asked for."""
        stopping.heed()
        self.measured = module.horizon.clock(module.step, self._now_s() - self._start_s)
        if module.horizon.reached(module.step):
            trainer.should_stop = True


class Validation(pl.Callback):
    """Scores of fixed chunks at intervals and at the end, of held-out and of training recordings.

    `result` is the held-out chunks', empty where none is held out; `train_clean` that of training
    chunks without augmentation, scored the same way; `code` says what the code tells of attributes,
    of every `code_every` validations and the last. All are None between validations. The held-out
    chunks are of so many `recordings`: how much their loss can tell.

    Every phase is scored with the weights of the loss, so that its curve goes on across a border;
    `phase` in `result`, counted from 1 where there are phases, says whose weights were scored.
    What is best, and whether a loss still falls, is asked within a phase alone.
    """

    def __init__(
        self,
        batches: Iterable[Batch],
        every_steps: int,
        train_clean: Iterable[Batch] = (),
        code_chunks: MeasuredChunks | None = None,
        code_every: int = 1,
        *,
        recordings: int = 1,
    ) -> None:
        self.batches, self.clean_batches, self.every_steps = batches, train_clean, every_steps
        self.code_chunks, self.code_every = code_chunks, code_every
        self.recordings = recordings
        self.result: dict[str, float] | None = None
        self.train_clean: dict[str, float] | None = None
        self.code: dict[str, float] | None = None
        self.count = 0

    def on_train_batch_end(self, trainer: pl.Trainer, module: Training, *_: Any) -> None:
        """Validate the averaged weights."""
        self.result = self.train_clean = self.code = None
        if module.step % self.every_steps and not trainer.should_stop:
            return
        held_out = self._scores(module, self.batches, watch_code=True)
        # Held-out chunks say how the code is used; below two of them, those of training do.
        enough = "decode_change" in held_out
        clean = self._scores(module, self.clean_batches, watch_code=not enough)
        if held_out and clean and clean["loss"] > 0:
            held_out["gap"] = gap(held_out["loss"], clean["loss"])
        if enough:
            clean = {name: clean[name] for name in ("loss",) if name in clean}
        if held_out:
            held_out["recordings"] = self.recordings
            if module.phases.given:
                held_out["phase"] = module.phase_number
        self.result, self.train_clean = held_out, clean
        self.count += 1
        due = self.count % self.code_every == 0 or trainer.should_stop
        if self.code_chunks is not None and due:
            self.code = code_scores(module.averaged, self.code_chunks, _arithmetic(module))

    def _scores(
        self, module: Training, batches: Iterable[Batch], *, watch_code: bool
    ) -> dict[str, float]:
        loss = module.reconstruction, module.mix, module.step
        context = _arithmetic(module)
        return validate(module.averaged, batches, *loss, context, watch_code=watch_code)

    def state_dict(self) -> dict[str, Any]:
        """The count goes on after a resume, and with it what hangs on it."""
        return {"count": self.count}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the count."""
        self.count = state_dict["count"]


def _arithmetic(module: Training) -> AbstractContextManager[None]:
    context: AbstractContextManager[None] = torch.autocast(
        module.device.type, torch.bfloat16, enabled=module.autocast
    )
    return context


class Curves(pl.Callback):
    """`metrics.csv`: training terms at intervals, every validation. Watches, changes nothing."""

    def __init__(self, metrics_log: MetricsLog, validation: Validation, every_steps: int) -> None:
        self.metrics_log, self.validation = metrics_log, validation
        self.every_steps = every_steps  # `log` is a name Lightning gives to every callback
        self.latest: dict[str, float] = {}

    def on_train_batch_end(self, trainer: pl.Trainer, module: Training, *_: Any) -> None:
        """Write the values of this step; `latest` keeps them for other watchers."""
        self.latest = {}
        if module.step % self.every_steps == 0 or trainer.should_stop:
            self.latest = training_values(module)
        if self.validation.result is not None:
            self.latest |= {f"validation/{k}": v for k, v in self.validation.result.items()}
        if self.validation.code is not None:
            self.latest |= {f"validation/{k}": v for k, v in self.validation.code.items()}
        if self.validation.train_clean is not None:
            self.latest |= {f"train_clean/{k}": v for k, v in self.validation.train_clean.items()}
        if self.latest:
            self.metrics_log.append(module.step, self.latest)


def training_values(module: Training) -> dict[str, float]:
    """The last step's loss, unweighted terms, weights, learning rate, gradient norm and clock."""
    objective = module.objective
    if objective is None:
        return {}
    moving = {name for name, weight in module.mix.weights.items() if callable(weight)}
    moving |= module.phases.reweighed()
    return {
        "train/loss": float(objective.total),
        **{f"train/{name}": float(value) for name, value in objective.terms.items()},
        **{f"weight/{n}": objective.weights[n] for n in sorted(moving & objective.weights.keys())},
        "train/learning_rate": module.learning_rate,
        "train/gradient_norm": module.gradient_norm,
        "train/elapsed_s": module.horizon.elapsed_s,
    }


class EarlyStop(pl.Callback):
    """A controller: stops when `patience` validations in a row bring no gain.

    It counts in the last phase alone: those before it last as long as the config says.
    """

    def __init__(self, validation: Validation, patience: int) -> None:
        self.validation, self.patience = validation, patience
        self.best = float("inf")
        self.without_gain = 0

    def on_train_batch_end(self, trainer: pl.Trainer, module: Training, *_: Any) -> None:
        """Count validations without gain."""
        result = self.validation.result
        if not result or not module.in_last_phase:
            return
        self.without_gain = 0 if result["loss"] < self.best else self.without_gain + 1
        self.best = min(self.best, result["loss"])
        if self.without_gain >= self.patience:
            trainer.should_stop = True

    def state_dict(self) -> dict[str, Any]:
        """The best loss so far and how long ago it was."""
        return {"best": self.best, "without_gain": self.without_gain}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the count."""
        self.best, self.without_gain = state_dict["best"], state_dict["without_gain"]


class Checkpoints(pl.Callback):
    """`last.ckpt` at intervals and `best.ckpt` by held-out loss, each replaced in one move.

    The best is the last whose loss is as good as the lowest (`runs.selection`), of the phase: where
    another begins, its first validation replaces it.

    Must come after every callback whose state it saves.
    """

    def __init__(
        self, folder: Path, validation: Validation, clock: Clock, every_steps: int
    ) -> None:
        self.folder, self.validation, self.clock = folder, validation, clock
        self.every_steps = every_steps
        self.lowest_loss = float("inf")
        self.best_loss = float("inf")
        self.best_step = 0
        self.best_phase = 0.0

    def on_train_batch_end(self, trainer: pl.Trainer, module: Training, *_: Any) -> None:
        """Save where due; a horizon just measured is saved at once: a kill must not lose it."""
        result = self.validation.result
        is_best = bool(result) and self._is_best(result)
        if is_best:
            begins = result.get("phase", 0.0) != self.best_phase
            before = float("inf") if begins else self.lowest_loss
            self.lowest_loss = min(before, result["loss"])
            self.best_loss, self.best_step = result["loss"], module.step
            self.best_phase = result.get("phase", 0.0)
            trainer.save_checkpoint(self.folder / BEST)
        due = module.step % self.every_steps == 0 or self.clock.measured or trainer.should_stop
        if due or is_best:
            trainer.save_checkpoint(self.folder / LAST)

    def _is_best(self, result: Mapping[str, float]) -> bool:
        begins = result.get("phase", 0.0) != self.best_phase
        return begins or as_good(result["loss"], self.lowest_loss, self.validation.recordings)

    def state_dict(self) -> dict[str, Any]:
        """The lowest loss so far, and the best one, its step and its phase."""
        return {
            "lowest_loss": self.lowest_loss,
            "best_loss": self.best_loss,
            "best_step": self.best_step,
            "best_phase": self.best_phase,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best loss; without its weights, the best of later steps is kept.

        An older checkpoint, which has no lowest loss, kept the weights with the lowest.
        """
        if state_dict["best_step"] and not is_whole(self.folder / BEST):
            sys.stderr.write(
                f"'{self.folder / BEST}' is gone or damaged: the weights of step "
                f"{state_dict['best_step']}, the best so far, are lost; the best from here on are "
                "kept\n"
            )
            return
        self.best_loss, self.best_step = state_dict["best_loss"], state_dict["best_step"]
        self.lowest_loss = state_dict.get("lowest_loss", self.best_loss)
        self.best_phase = state_dict.get("best_phase", 0.0)  # an older one has none
