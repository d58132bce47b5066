"""Callbacks and loggers of a user's own: which may join the watchers, and what they receive."""

from collections.abc import Mapping, Sequence
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch import callbacks as lightning_callbacks

from timbrel.errors import UserError
from timbrel.training.callbacks import Curves
from timbrel.training.module import Training

_NO_TRIALS = "it trains before the first step, which no resume repeats"
_REFUSED: dict[type, str] = {
    lightning_callbacks.Checkpoint: "checkpoints are timbrel's own: trainer.checkpoint_every_steps",
    lightning_callbacks.EarlyStopping: "take trainer.early_stop_patience",
    lightning_callbacks.ProgressBar: "the terminal has lines of progress: callbacks.console",
    lightning_callbacks.WeightAveraging: "weights are averaged already: trainer.ema_decay",
    lightning_callbacks.StochasticWeightAveraging: "weights are averaged already: "
    "trainer.ema_decay",
    lightning_callbacks.GradientAccumulationScheduler: "take a larger trainer.batch_size",
    lightning_callbacks.BatchSizeFinder: _NO_TRIALS,
    lightning_callbacks.LearningRateFinder: _NO_TRIALS,
}
_NEVER = ("on_validation_", "on_sanity_", "on_test_", "on_predict_")


def check_callback(callback: object, where: str) -> None:
    """Raises UserError where the object at the config key `where` cannot join a training."""
    kind = type(callback).__name__
    if not isinstance(callback, pl.Callback):
        raise UserError(f"{where}: builds a {kind}, not a callback (lightning.pytorch.Callback)")
    for refused, reason in _REFUSED.items():
        if isinstance(callback, refused):
            raise UserError(f"{where}: {kind} cannot join a training here: {reason}")


def check_states(callbacks: Sequence[pl.Callback]) -> None:
    """Raises UserError where two callbacks would keep their state under one name."""
    seen: set[str] = set()
    for callback in callbacks:
        if type(callback).state_dict is pl.Callback.state_dict:
            continue
        if callback.state_key in seen:
            raise UserError(
                f"callbacks: two keep a state called '{callback.state_key}', and a checkpoint has "
                "one of a name; rename your class, or give it a state_key of its own"
            )
        seen.add(callback.state_key)


def never_called(callback: pl.Callback) -> list[str]:
    """Hooks that a user's class has and a training does not call: it has no loop for them."""
    hooks = [name for name in dir(pl.Callback) if name.startswith(_NEVER)]
    found = {name: getattr(type(callback), name) for name in hooks}
    return [n for n, hook in found.items() if not hook.__module__.startswith("lightning.")]


class Outward(pl.Callback):
    """Hands what `Curves` has for this step to `trainer.callback_metrics` and to the own loggers.

    It must come before callbacks that read it.
    """

    def __init__(self, curves: Curves, config: Mapping[str, Any]) -> None:
        self.curves, self.config = curves, config

    def on_train_start(self, trainer: pl.Trainer, module: Training) -> None:
        """Tell the loggers the config."""
        for logger in trainer.loggers:
            logger.log_hyperparams(dict(self.config))

    def on_train_batch_end(self, trainer: pl.Trainer, module: Training, *_: Any) -> None:
        """Log against the training's own step."""
        if not self.curves.latest:
            return
        self.log_dict(self.curves.latest, logger=False)
        for logger in trainer.loggers:
            logger.log_metrics(dict(self.curves.latest), step=module.step)
