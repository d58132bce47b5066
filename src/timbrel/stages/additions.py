"""What a user adds to a training by `_target_`: an optimizer, callbacks, loggers."""

import inspect
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, OmegaConf
from torch import nn

from timbrel.config.additions import own_callbacks
from timbrel.config.targets import check_targets, locate
from timbrel.errors import UserError
from timbrel.stages.built import built_of_others
from timbrel.training.callbacks import Curves
from timbrel.training.optimizers import MakeOptimizer, check_optimizer
from timbrel.training.own_callbacks import (
    Outward,
    check_callback,
    check_states,
    never_called,
)

_FUSED = (torch.optim.Adam, torch.optim.AdamW)
_KERNELS = frozenset({"fused", "foreach", "differentiable"})  # a user's own choice of them stays
# What Lightning's loggers write with; one of the packages is enough. By name, for not every version
# of Lightning has every class.
_PACKAGES = {
    "CometLogger": ("comet_ml",),
    "LitLogger": ("litlogger",),
    "MLFlowLogger": ("mlflow",),
    "NeptuneLogger": ("neptune",),
    "TensorBoardLogger": ("tensorboard", "tensorboardX"),
    "WandbLogger": ("wandb",),
}


@dataclass(frozen=True)
class Additions:
    """The three sections, checked, before any recording is read: the callbacks are built already.

    `optimizer` and each of `loggers` are sections with a `_target_`; `learning_rate` is the peak.
    """

    optimizer: Mapping[str, Any]
    learning_rate: float
    callbacks: Sequence[pl.Callback]
    loggers: Mapping[str, Mapping[str, Any]]


def additions(config: DictConfig) -> Additions:
    """What `config` adds; every `_target_` exists, takes its arguments and is of its kind.

    Raises UserError where one is not, or where a logger's package is not installed.
    """
    optimizer = _optimizer_section(config)
    check_targets(optimizer, "optimizer", provided=["params"])
    callbacks = _callbacks(config)
    extra = OmegaConf.to_container(config.logger.extra, resolve=True)
    loggers = {name: section for name, section in extra.items() if section is not None}
    check_targets(loggers, "logger.extra", provided=["save_dir"])
    for name, section in loggers.items():
        _check_logger(name, locate(section["_target_"]))
    peak = float(optimizer.get("lr", config.trainer.learning_rate))
    return Additions(optimizer, peak, callbacks, loggers)


def build_optimizer(
    optimizer: Mapping[str, Any], model: nn.Module, accelerator: str
) -> MakeOptimizer:
    """From parameters to their optimizer; one that training cannot use is a UserError."""
    section = {**optimizer, "_partial_": True}
    if locate(section["_target_"]) in _FUSED and not _KERNELS & section.keys():
        section["fused"] = accelerator in ("cpu", "cuda")
    make: MakeOptimizer = built_of_others(section, "optimizer")
    check_optimizer(make, model)
    return make


def _optimizer_section(config: DictConfig) -> dict[str, Any]:
    """The section with the learning rate in it, where its target takes one."""
    trainer = config.trainer
    if not config.optimizer:  # runs of before have no such key
        betas = list(trainer.betas)
        section = {"_target_": "torch.optim.AdamW", "betas": betas}
        section["weight_decay"] = trainer.weight_decay
    else:
        section = OmegaConf.to_container(config.optimizer, resolve=True)
    try:
        kind = locate(section["_target_"])
    except UserError as error:
        raise UserError(f"optimizer._target_: {error}") from error
    if "lr" not in section and _takes(kind, "lr"):
        section["lr"] = trainer.learning_rate
    return section


def _takes(target: Any, argument: str) -> bool:
    try:
        parameters = inspect.signature(target).parameters
    except (TypeError, ValueError):
        return False
    return argument in parameters or any(
        parameter.kind == parameter.VAR_KEYWORD for parameter in parameters.values()
    )


def _callbacks(config: DictConfig) -> list[pl.Callback]:
    """Those of `callbacks.NAME`, in order. Raises UserError where one cannot join a training."""
    sections = own_callbacks(OmegaConf.to_container(config.callbacks, resolve=True))
    check_targets(sections, "callbacks")
    found = []
    for name, section in sections.items():
        callback = built_of_others(section, f"callbacks.{name}")
        check_callback(callback, f"callbacks.{name}")
        found.append(callback)
    return found


def with_own(
    watchers: Sequence[pl.Callback], curves: Curves, config: DictConfig, added: Additions
) -> list[pl.Callback]:
    """What stands behind the watchers: a user's callbacks, and what tells them and loggers.

    Hooks that are never called are told on stderr. Empty where nothing was added.
    """
    check_states([*watchers, *added.callbacks])
    for callback in added.callbacks:
        if hooks := never_called(callback):
            sys.stderr.write(
                f"note: {type(callback).__name__}: {', '.join(hooks)}: never called, because "
                "validation is part of a step here; use on_train_batch_end, where "
                "trainer.callback_metrics has its numbers\n"
            )
    if not added.callbacks and not added.loggers:
        return []
    flat = OmegaConf.to_container(config, resolve=True, enum_to_str=True)
    return [Outward(curves, flat), *added.callbacks]


def build_loggers(loggers: Mapping[str, Mapping[str, Any]], folder: Path) -> list[Logger]:
    """Those of `logger.extra.NAME`; one that takes a `save_dir` and has none takes `folder`."""
    found = []
    for name, section in loggers.items():
        where = f"logger.extra.{name}"
        takes_folder = "save_dir" not in section and _takes(locate(section["_target_"]), "save_dir")
        place = {"save_dir": str(folder)} if takes_folder else {}
        logger = built_of_others({**section, **place}, where)
        if not isinstance(logger, Logger):
            raise UserError(_no_logger(name, type(logger).__name__))
        found.append(logger)
    return found


def _check_logger(name: str, kind: Any) -> None:
    """Raises UserError where `kind` builds no logger, or lacks the package that it writes with.

    Nothing is built: some loggers tell their service of a run at once.
    """
    if not inspect.isclass(kind):
        return
    for base in kind.__mro__:
        packages = _PACKAGES.get(base.__name__, ())
        if packages and not any(map(find_spec, packages)):
            raise UserError(
                f"logger.extra.{name}: {kind.__name__} needs {packages[0]}, which is not "
                f"installed: pip install {packages[0]}"
            )
    if not issubclass(kind, Logger):
        raise UserError(_no_logger(name, kind.__name__))


def _no_logger(name: str, kind: str) -> str:
    return f"logger.extra.{name}: builds a {kind}, not a logger (lightning.pytorch.loggers.Logger)"
