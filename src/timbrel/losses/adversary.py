"""What training asks of an adversary: a network that learns against the model.

In every step it plays, an adversary is asked twice, each time with the whole forward pass and the
batch: for `terms` of the model's objective, and after the model's step for its `own_loss`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from timbrel.contracts import Batch, Latent, Posterior
from timbrel.losses.terms import Terms


@dataclass(frozen=True)
class Pass:
    """One forward pass: the posterior, the latent that was drawn, and the decoded audio.

    `estimate` is as long as the batch's target, and float32.
    """

    posterior: Posterior
    latent: Latent
    estimate: Float[Tensor, "batch channel time"]

    def map(self, function: Callable[[Tensor], Tensor]) -> "Pass":
        """The same pass with `function` applied to every tensor."""
        return Pass(
            self.posterior.map(function), self.latent.map(function), function(self.estimate)
        )

    def detached(self) -> "Pass":
        """The same values without the graph behind them."""
        return self.map(Tensor.detach)


@runtime_checkable
class Adversary(Protocol):
    """A module whose parameters learn from `own_loss` by `optimizer`, and by nothing else.

    `own_loss` (one value) is handed the step's forward pass without its graph, so no gradient of
    it reaches the model. A penalty may be an adversary; its terms are the penalty's.
    """

    def optimizer(self) -> torch.optim.Optimizer: ...

    def own_loss(
        self, forward: Pass, batch: Batch, step: int, rng: torch.Generator
    ) -> Float[Tensor, ""]: ...


@runtime_checkable
class AudioAdversary(Adversary, Protocol):
    """An adversary of `loss.adversaries`: it gives the model's objective terms of its own.

    One value per example, or one where the examples are judged together; a `Diagnostic` among them
    is logged and needs no weight. While it is asked for
    terms its parameters take no gradient. Both methods run under the model's autocast, where
    networks answer in bfloat16; what they return is reduced in float32.
    """

    def terms(self, forward: Pass, batch: Batch, step: int, rng: torch.Generator) -> Terms: ...
