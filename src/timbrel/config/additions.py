"""Checks of what a user adds to a training: optimizer, callbacks, loggers. Only their shape.

Whether their `_target_`s are there and take what they are given is asked when they are built.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from timbrel.config.schema import TrainConfig
from timbrel.errors import override_text

OPTIONAL_WATCHERS = ("alarms", "audio", "console")
"""Built-in watchers that `callbacks.NAME=null` leaves out."""

_FIXED_WATCHERS = {
    "clock": "it ends the training at its horizon",
    "validation": "checkpoints are chosen by it",
    "curves": "it writes metrics.csv, which a resume goes on with",
    "checkpoints": "a run is resumed from them",
    "wandb": "logger=wandb or logger=none decides on it",
    "early_stop": "trainer.early_stop_patience decides on it",
}


def addition_problems(config: TrainConfig) -> Iterator[str]:
    """A line for every mistake in the three sections."""
    yield from _optimizer(config.optimizer)
    for name, section in config.callbacks.items():
        yield from _callback(name, section)
    for name, section in config.logger.extra.items():
        if section is not None and not _has_target(section):
            yield _no_target(f"logger.extra.{name}", section, "lightning.pytorch.loggers.CSVLogger")


def own_callbacks(callbacks: Mapping[str, Any]) -> dict[str, Any]:
    """The callbacks that a user added, by name."""
    return {name: section for name, section in callbacks.items() if isinstance(section, Mapping)}


def _optimizer(section: Mapping[str, Any]) -> Iterator[str]:
    if not section:
        return  # runs of before have none: AdamW
    if not _has_target(section):
        yield _no_target("optimizer", section, "torch.optim.RMSprop")
    lr = section.get("lr")
    if isinstance(lr, int | float) and not lr > 0:
        yield f"optimizer.lr={lr}: above 0"


def _callback(name: str, section: Any) -> Iterator[str]:
    where = f"callbacks.{name}"
    if name in _FIXED_WATCHERS:
        yield (
            f"{where}: the name of a built-in callback that is not set here "
            f"({_FIXED_WATCHERS[name]}); give yours another name"
        )
    elif name in OPTIONAL_WATCHERS:
        if section is not None and not isinstance(section, bool):
            yield (
                f"{where}={override_text(section)}: the name of a built-in callback: true, or "
                "null to leave it out; give yours another name"
            )
    elif section is not None and not _has_target(section):
        yield _no_target(where, section, "my_module.MyCallback")


def _has_target(section: Any) -> bool:
    return isinstance(section, Mapping) and isinstance(section.get("_target_"), str)


def _no_target(where: str, section: Any, example: str) -> str:
    return (
        f"{where}={override_text(section)}: a mapping with a _target_, such as "
        f"{where}._target_={example}"
    )


def logs_sounds(config: Mapping[str, Any]) -> bool:
    """Whether the W&B run of a training gets sounds, and with them models.

    >>> logs_sounds({"callbacks": {"audio": True}, "logger": {"clips": 0}})
    False
    """
    return bool(config["callbacks"].get("audio", True)) and config["logger"]["clips"] > 0
