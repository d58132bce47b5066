"""Which parts a bundle's config may name: a model from a stranger must not run code."""

import importlib
import inspect
from collections.abc import Iterator
from typing import Any

from torch import nn

from timbrel.config.walk import targets_of, walk
from timbrel.errors import UserError

_PACKAGES = ("timbrel.models.", "timbrel.dsp.")
_OF_TRAININGS = (
    *_PACKAGES,
    "timbrel.losses.",
    "timbrel.data.augmentation.",
    "timbrel.training.",
    "torch.nn.",
    "torch.optim.",
)


def check_targets(config: Any, where: str, *, trust: bool = False) -> None:
    """Raise UserError unless `config` builds from network classes of timbrel's own, or is trusted.

    `trust` lets it name any other part, whose code then runs. What refers to other values is
    refused all the same: a saved config holds them.
    """
    foreign = foreign_parts(config, where)
    if foreign and not trust:
        parts = ", ".join(repr(name) for name in foreign)
        modules = ", ".join(dict.fromkeys(name.partition(".")[0] for name in foreign))
        raise UserError(
            f"{where} names {parts}, no network of timbrel.models: opening it runs code outside "
            f"timbrel. If you trust who made it, give trust=true; Python must find the module "
            f"({modules}) in the working folder, on PYTHONPATH or installed"
        )


def foreign_parts(config: Any, where: str) -> tuple[str, ...]:
    """What `config` names that is no network class of timbrel's own; each once, in order.

    The prefix alone would not do: `timbrel.library.bundle.os.system` begins with timbrel too, so a
    target must be a class written in the very module it is named by. Hydra's other special keys
    count as well: they call what is named in another way.

    Raises UserError where the config builds nothing, refers to other values (which can read the
    environment), or names a part of timbrel.models that this timbrel does not have.
    """
    if not isinstance(config, dict) or "_target_" not in config:
        raise UserError(f"{where}: no _target_ at its top; not a model's config")
    return tuple(dict.fromkeys(_foreign(config, where)))


def _foreign(config: Any, where: str) -> Iterator[str]:
    for _, node in walk(config):
        if isinstance(node, str) and "${" in node:
            raise UserError(
                f"{where}: '{node}' refers to other values; a model's config holds them"
            )
        for key, value in node.items() if isinstance(node, dict) else ():
            if key == "_target_":
                if not _is_own(value, where):
                    yield str(value)
            elif not isinstance(key, str):
                raise UserError(f"{where}: key '{key}' does not belong in a model's config")
            elif key.startswith("_") and key.endswith("_"):
                yield f"{node.get('_target_', '')}.{key}".lstrip(".")


def check_run_targets(config: Any, where: str) -> None:
    """Raise UserError where a training's config builds what neither timbrel nor torch has.

    A run folder may come from a stranger, and resuming it calls what its config names. Of timbrel
    and torch it may name classes, in the packages that hold parts of a training.
    """
    foreign = [name for name in map(str, targets_of(config)) if not _is_part(name)]
    if foreign:
        names = ", ".join(repr(name) for name in dict.fromkeys(foreign))
        raise UserError(
            f"{where} names {names}, outside timbrel and torch: going on with the run calls that "
            "code. If the run is yours, or you trust who made it, give trust=true"
        )


def _is_part(target: str) -> bool:
    """Whether `target` is a class of timbrel's or torch's own that a training is made of."""
    if not target.startswith(_OF_TRAININGS):
        return False
    try:
        part, _ = _named(target)
    except (ImportError, AttributeError):
        return False
    return inspect.isclass(part) and f"{part.__module__}.".startswith(_OF_TRAININGS)


def _is_own(target: Any, where: str) -> bool:
    """Whether `target` is a network class written in the module of timbrel's that it names."""
    if not isinstance(target, str) or not target.startswith(_PACKAGES):
        return False
    try:
        part, module_name = _named(target)
    except (ImportError, AttributeError) as error:
        raise UserError(
            f"{where} names '{target}', which this timbrel does not have; update timbrel"
        ) from error
    return inspect.isclass(part) and issubclass(part, nn.Module) and part.__module__ == module_name


def _named(target: str) -> tuple[Any, str]:
    """What `target` names, taken from its very module, and the name of that module."""
    module_name, _, name = target.rpartition(".")
    return getattr(importlib.import_module(module_name), name), module_name
