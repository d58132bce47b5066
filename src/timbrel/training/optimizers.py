"""The model's optimizer: torch's or a user's own, as long as it does what a training asks of it.

A training sets `lr` of every group before each step, calls `step(closure)` after one backward pass
with a closure that does nothing, and keeps the optimizer's state in its checkpoints.
"""

from collections.abc import Callable, Iterable

import torch
from torch import nn
from torch.optim import Optimizer

from timbrel.errors import UserError
from timbrel.training.checkpoint import unreadable

MakeOptimizer = Callable[[Iterable[nn.Parameter]], Optimizer]


def check_optimizer(make: MakeOptimizer, model: nn.Module) -> None:
    """Make one for `model`, and take a step with another on two small parameters.

    Raises UserError where that fails, and where its state could not be read from a checkpoint.
    """
    _made(make, model.parameters())
    parameters = [nn.Parameter(torch.ones(size)) for size in ((2, 2), (2,))]
    optimizer = _made(make, parameters)
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    kind = type(optimizer).__name__
    if any("lr" not in group for group in optimizer.param_groups):
        raise UserError(f"optimizer: {kind} has no lr, which the training's schedule must set")
    try:
        optimizer.step(closure=lambda: None)  # as Lightning calls it
    except Exception as error:  # a class of anybody's may raise anything
        raise UserError(
            f"optimizer: {kind} fails at step(closure) after one backward pass, as a training "
            f"calls it ({type(error).__name__}: {error}); take another"
        ) from error
    if (what := unreadable(optimizer.state_dict())) is not None:
        raise UserError(f"optimizer: what {kind} remembers cannot be kept in a checkpoint: {what}")


def _made(make: MakeOptimizer, parameters: Iterable[nn.Parameter]) -> Optimizer:
    try:
        optimizer = make(parameters)
    except Exception as error:  # a class of anybody's may raise anything
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        raise UserError(f"optimizer: {kind}{error}") from error
    if not isinstance(optimizer, Optimizer):
        kind = type(optimizer).__name__
        raise UserError(f"optimizer: builds a {kind}, not an optimizer (torch.optim.Optimizer)")
    return optimizer
