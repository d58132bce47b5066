"""Warm start: a new model takes over a trained one's tensors, by name and shape.

What fits no tensor of the parent keeps its fresh initialisation: with another width of the code
these are the layers that touch it, with another architecture nearly all, which is refused.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod

import torch

from timbrel.errors import UserError
from timbrel.library.bundle import Weights
from timbrel.library.card import Frontend
from timbrel.models.autoencoder import Autoencoder

LEAST_SHARE = 0.1
"""Below this share a warm start is refused: the parent is of another architecture."""

_MOST_LINES = 8

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Fresh:
    """A tensor that was not taken over; `parent_shape` is None where the parent has none."""

    name: str
    shape: Shape
    parent_shape: Shape | None


@dataclass(frozen=True)
class Transfer:
    """Which tensors a model takes over, which stay fresh, and which only the parent has."""

    taken: tuple[str, ...]
    fresh: tuple[Fresh, ...]
    left: tuple[str, ...]
    weights_taken: int
    weights: int

    @property
    def share(self) -> float:
        """How much of the model's weights is taken over, from 0 to 1."""
        return self.weights_taken / self.weights if self.weights else 0.0

    def lines(self) -> list[str]:
        """What was taken and what was not, a line per module."""
        count = len(self.taken) + len(self.fresh)
        told = [f"{len(self.taken)} of {count} tensors taken over, {self.share:.1%} of the weights"]
        groups = _by_module(self.fresh)
        told += [f"fresh: {module}: {_tensors(module, members)}" for module, members in groups]
        if self.left:
            modules = dict.fromkeys(_module(name) for name in self.left)
            told.append(f"the parent's only: {_some(list(modules))} ({len(self.left)} tensors)")
        return told


def compare(model: Mapping[str, torch.Tensor], parent: Mapping[str, torch.Tensor]) -> Transfer:
    """Which tensors of `model` have a namesake of the same shape in `parent`.

    >>> new = {"a.weight": torch.zeros(2, 3), "a.bias": torch.zeros(2)}
    >>> transfer = compare(new, {"a.weight": torch.ones(4, 3), "a.bias": torch.ones(2)})
    >>> transfer.lines()
    ['1 of 2 tensors taken over, 25.0% of the weights', 'fresh: a: weight 2x3 (parent 4x3)']
    """
    taken = [
        name
        for name, tensor in model.items()
        if name in parent and parent[name].shape == tensor.shape
    ]
    fresh = [
        Fresh(name, tuple(tensor.shape), tuple(parent[name].shape) if name in parent else None)
        for name, tensor in model.items()
        if name not in set(taken)
    ]
    return Transfer(
        taken=tuple(taken),
        fresh=tuple(fresh),
        left=tuple(name for name in parent if name not in model),
        weights_taken=sum(model[name].numel() for name in taken),
        weights=sum(tensor.numel() for tensor in model.values()),
    )


def warm_start(model: Autoencoder, parent: Weights) -> Transfer:
    """Copy into `model`, in place, every tensor of `parent` that fits one by name and shape.

    Raises UserError, and changes nothing, where the two hear another rate or channel count, and
    where less than `LEAST_SHARE` of the weights fit.
    """
    where = f"init_from={parent.folder}"
    check_frontend(parent.frontend, where, model.sample_rate_hz, model.channels)
    own, other = model.state_dict(), parent.tensors
    transfer = compare(own, other)
    if transfer.share < LEAST_SHARE:
        raise UserError(
            f"{where}: only {transfer.share:.1%} of the weights fit ({len(transfer.taken)} of "
            f"{len(own)} tensors), so it is a model of another architecture: {_other(transfer)}; "
            "take the architecture (and its widths) of that model, or leave init_from out"
        )
    with torch.no_grad():
        for name in transfer.taken:
            own[name].copy_(other[name])
    return transfer


def check_frontend(parent: Frontend, where: str, sample_rate_hz: int, channels: int) -> None:
    """Raise UserError with the keys to change where a parent hears sound in another form."""
    asked = {"sample_rate_hz": sample_rate_hz, "channels": channels}
    given = {"sample_rate_hz": parent.sample_rate_hz, "channels": parent.channels}
    keys = [key for key in asked if asked[key] != given[key]]
    if keys:
        raise UserError(
            f"{where}: that model was trained at "
            + ", ".join(f"{key}={given[key]}, not {asked[key]}" for key in keys)
            + "; set "
            + " ".join(f"data.{key}={given[key]}" for key in keys)
            + ", or leave init_from out"
        )


def _other(transfer: Transfer) -> str:
    """How the two differ: in the largest tensor that did not fit."""
    largest = max(transfer.fresh, key=lambda tensor: prod(tensor.shape))
    there = largest.parent_shape
    has = f"in that model {_shape(there)}" if there is not None else "which that model lacks"
    return f"'{largest.name}' is {_shape(largest.shape)}, {has}"


def _by_module(fresh: Sequence[Fresh]) -> list[tuple[str, list[Fresh]]]:
    """The tensors by the deepest modules that leave a few lines."""
    deepest = max((tensor.name.count(".") for tensor in fresh), default=0)
    for depth in range(deepest, -1, -1):
        groups: dict[str, list[Fresh]] = {}
        for tensor in fresh:
            groups.setdefault(_module(tensor.name, depth), []).append(tensor)
        if len(groups) <= _MOST_LINES or depth <= 1:
            return list(groups.items())
    return []


def _module(name: str, depth: int = 2) -> str:
    """The module a tensor is in, at most `depth` names deep."""
    return ".".join(name.split(".")[:-1][:depth]) or name


def _tensors(module: str, members: Sequence[Fresh]) -> str:
    told = []
    for tensor in members:
        there = "has none" if tensor.parent_shape is None else _shape(tensor.parent_shape)
        name = tensor.name.removeprefix(f"{module}.")
        told.append(f"{name} {_shape(tensor.shape)} (parent {there})")
    return _some(told)


def _some(texts: Sequence[str], most: int = 3) -> str:
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more


def _shape(shape: Iterable[int]) -> str:
    return "x".join(map(str, shape)) or "scalar"
