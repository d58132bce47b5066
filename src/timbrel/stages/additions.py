"""What a user adds to a training by `_target_`: an optimizer, callbacks, loggers."""

import inspect
import sys
from collections.abc import Mapping, Sequence
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


def check_additions(config: DictConfig) -> None:
    """Every `_target_` of the three sections exists, takes its arguments and is of its kind.

    Raises UserError.
    """
    check_targets(_optimizer_section(config), "optimizer", provided=["params"])
    build_callbacks(config)
    loggers = _logger_sections(config)
    check_targets(loggers, "logger.extra", provided=["save_dir"])
    for name, section in loggers.items():
        kind = locate(section["_target_"])
        if inspect.isclass(kind) and not issubclass(kind, Logger):
            raise UserError(_no_logger(name, kind.__name__))


def peak_learning_rate(config: DictConfig) -> float:
    """The optimizer's own `lr`, else `trainer.learning_rate`."""
    return float(_optimizer_section(config).get("lr", config.trainer.learning_rate))


def build_optimizer(config: DictConfig, model: nn.Module, accelerator: str) -> MakeOptimizer:
    """From parameters to their optimizer; one that training cannot use is a UserError."""
    section = _optimizer_section(config)
    if locate(section["_target_"]) in _FUSED and not _KERNELS & section.keys():
        section["fused"] = accelerator in ("cpu", "cuda")
    make: MakeOptimizer = built_of_others({**section, "_partial_": True}, "optimizer")
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
    if "lr" not in section and _takes(locate_at(section, "optimizer"), "lr"):
        section["lr"] = trainer.learning_rate
    return section


def locate_at(section: Mapping[str, Any], where: str) -> Any:
    """What `section` names. Raises UserError with the key where there is no such thing."""
    try:
        return locate(section["_target_"])
    except UserError as error:
        raise UserError(f"{where}._target_: {error}") from error


def _takes(target: Any, argument: str) -> bool:
    try:
        parameters = inspect.signature(target).parameters
    except (TypeError, ValueError):
        return False
    return argument in parameters or any(
        parameter.kind == parameter.VAR_KEYWORD for parameter in parameters.values()
    )


def build_callbacks(config: DictConfig) -> list[pl.Callback]:
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
    watchers: Sequence[pl.Callback], curves: Curves, config: DictConfig
) -> list[pl.Callback]:
    """What stands behind the watchers: a user's callbacks, and what tells them and loggers.

    Hooks that are never called are told on stderr. Empty where nothing was added.
    """
    own = build_callbacks(config)
    check_states([*watchers, *own])
    for callback in own:
        if hooks := never_called(callback):
            sys.stderr.write(
                f"note: {type(callback).__name__}: {', '.join(hooks)}: never called, because "
                "validation is part of a step here; use on_train_batch_end, where "
                "trainer.callback_metrics has its numbers\n"
            )
    if not own and not _logger_sections(config):
        return []
    flat = OmegaConf.to_container(config, resolve=True, enum_to_str=True)
    return [Outward(curves, flat), *own]


def build_loggers(config: DictConfig, folder: Path) -> list[Logger]:
    """Those of `logger.extra.NAME`; one that takes a `save_dir` and has none takes `folder`."""
    found = []
    for name, section in _logger_sections(config).items():
        where = f"logger.extra.{name}"
        if "save_dir" not in section and _takes(locate_at(section, where), "save_dir"):
            section["save_dir"] = str(folder)
        logger = built_of_others(section, where)
        if not isinstance(logger, Logger):
            raise UserError(_no_logger(name, type(logger).__name__))
        found.append(logger)
    return found


def _logger_sections(config: DictConfig) -> dict[str, Any]:
    extra = OmegaConf.to_container(config.logger.extra, resolve=True)
    return {name: section for name, section in extra.items() if section is not None}


def _no_logger(name: str, kind: str) -> str:
    return f"logger.extra.{name}: builds a {kind}, not a logger (lightning.pytorch.loggers.Logger)"
