"""The adversaries of a training: their names, their terms, and whose parameters are whose."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from timbrel.contracts import Batch
from timbrel.errors import UserError
from timbrel.losses.adversary import Adversary, AudioAdversary, Pass
from timbrel.losses.terms import Terms, value_of

Generators = Callable[[str], torch.Generator]
"""From the name of a draw to the generator of this step."""


def learning(module: nn.Module) -> list[nn.Parameter]:
    """The parameters of `module` that take a gradient."""
    return [parameter for parameter in module.parameters() if parameter.requires_grad]


def all_adversaries(penalty: nn.Module, named: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
    """Every adversary by the name of its loss in the log, in the order of their optimizers.

    The penalty, where it is one, is `adversary`; that of `loss.adversaries.NAME` is
    `NAME/adversary`.
    """
    own = {"adversary": penalty} if isinstance(penalty, Adversary) else {}
    return own | {f"{name}/adversary": module for name, module in named.items()}


def adversary_terms(
    named: Mapping[str, nn.Module],
    forward: Pass,
    batch: Batch,
    step: int,
    generators: Generators,
    autocast: bool,
) -> Terms:
    """The terms of some adversaries as `NAME/TERM`; none gives their parameters a gradient."""
    terms: Terms = {}
    for name, adversary in named.items():
        rng = generators(f"{name}/terms")
        with (
            torch.autocast(batch.target.device.type, torch.bfloat16, enabled=autocast),
            _without_gradient(adversary),
        ):
            found = adversary.terms(forward, batch, step, rng)
        for term, value in found.items():
            _check_float32(value_of(value), f"{name}/adversary", f"its term '{term}'")
            terms[f"{name}/{term}"] = value
    return terms


def own_loss(
    key: str,
    adversary: nn.Module,
    detached: Pass,
    batch: Batch,
    step: int,
    generators: Generators,
    autocast: bool,
) -> Tensor:
    """What the adversary called `key` in the log learns from.

    A penalty judges codes, in float32; the others judge audio, under the model's autocast.
    """
    rng = generators(key)
    enabled = autocast and isinstance(adversary, AudioAdversary)
    with torch.autocast(batch.target.device.type, torch.bfloat16, enabled=enabled):
        loss = adversary.own_loss(detached, batch, step, rng)
    _check_float32(loss, key, "its own_loss")
    return loss


@contextmanager
def _without_gradient(module: nn.Module) -> Iterator[None]:
    parameters = learning(module)
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


def check_learners(
    model: nn.Module,
    reconstruction: nn.Module,
    penalty: nn.Module,
    named: Mapping[str, nn.Module],
) -> None:
    """Every parameter that takes a gradient has one owner, whose optimizer moves it.

    Raises UserError where a loss or a penalty has parameters that nothing would train, where one
    of `named` is no adversary, and where two share a parameter.
    """
    if learning(reconstruction):
        raise UserError(
            f"loss.reconstruction: {_kind(reconstruction)} has parameters, which nothing would "
            "train; freeze them (requires_grad_(False)), or make it an adversary (loss.adversaries)"
        )
    if learning(penalty) and not isinstance(penalty, Adversary):
        raise UserError(
            f"latent.penalty: {_kind(penalty)} has parameters, which nothing would train; a "
            "penalty that learns must bring its own_loss and optimizer (timbrel.losses.adversary)"
        )
    owners = {id(parameter): "the model" for parameter in model.parameters()}
    for name, adversary in named.items():
        if not isinstance(adversary, AudioAdversary):
            raise UserError(
                f"loss.adversaries.{name}: {_kind(adversary)} is no adversary: it must have "
                "terms, own_loss and optimizer (timbrel.losses.adversary)"
            )
    for key, adversary in all_adversaries(penalty, named).items():
        where = _key(key)
        for parameter in adversary.parameters():
            if owners.setdefault(id(parameter), where) != where:
                raise UserError(
                    f"{where}: {_kind(adversary)} holds parameters of {owners[id(parameter)]}; "
                    "give it its own"
                )


def own_optimizer(key: str, adversary: nn.Module) -> torch.optim.Optimizer:
    """The adversary's optimizer. Raises UserError unless it moves exactly what takes a gradient."""
    optimizer = adversary.optimizer()
    moved = {id(p) for group in optimizer.param_groups for p in group["params"]}
    if moved != {id(parameter) for parameter in learning(adversary)}:
        raise UserError(
            f"{_key(key)}: the optimizer of {_kind(adversary)} must move its own parameters, all "
            "that take a gradient, and no others"
        )
    return optimizer


def _check_float32(value: Tensor, key: str, what: str) -> None:
    if value.dtype != torch.float32:
        raise UserError(
            f"{_key(key)}: {what} is {value.dtype}; under autocast a network's answers are cast "
            "(.float()) before they are reduced"
        )


def _key(key: str) -> str:
    """The config key of the adversary that the log calls `key`."""
    name, _, rest = key.partition("/")
    return f"loss.adversaries.{name}" if rest else "latent.penalty"


def _kind(module: nn.Module) -> str:
    return type(module).__name__
