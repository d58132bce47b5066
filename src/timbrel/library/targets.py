"""Which parts a bundle's config may name: a model from a stranger must not run code."""

import importlib
import inspect
from typing import Any

from torch import nn

from timbrel.errors import UserError

_PACKAGES = ("timbrel.models.", "timbrel.dsp.")


def check_targets(config: Any, where: str) -> None:
    """Raise UserError unless every `_target_` is a network class of timbrel's own.

    The prefix alone would not do: `timbrel.library.bundle.os.system` begins with timbrel too, so a
    target must be a class written in the very module it is named by. Interpolations and Hydra's
    other special keys are refused: a saved config has none, and they can read the environment.
    """
    if not isinstance(config, dict) or "_target_" not in config:
        raise UserError(f"{where}: no _target_ at its top; not a model's config")
    _check(config, where)


def _check(node: Any, where: str) -> None:
    if isinstance(node, str) and "${" in node:
        raise UserError(f"{where}: '{node}' refers to other values; a model's config holds them")
    if isinstance(node, list):
        for value in node:
            _check(value, where)
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "_target_":
                _check_target(value, where)
            elif not isinstance(key, str) or (key.startswith("_") and key.endswith("_")):
                raise UserError(f"{where}: key '{key}' does not belong in a model's config")
            _check(value, where)


def _check_target(target: Any, where: str) -> None:
    if not isinstance(target, str) or not target.startswith(_PACKAGES):
        raise UserError(
            f"{where} names '{target}', which is no part of timbrel.models; a model that would "
            "run other code is not opened: use only models whose maker you trust, exported anew"
        )
    module_name, _, name = target.rpartition(".")
    try:
        part = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError) as error:
        raise UserError(
            f"{where} names '{target}', which this timbrel does not have; update timbrel"
        ) from error
    if (
        not (inspect.isclass(part) and issubclass(part, nn.Module))
        or part.__module__ != module_name
    ):
        raise UserError(f"{where} names '{target}', which is no network of timbrel's")
