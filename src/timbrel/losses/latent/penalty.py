"""What training asks of a penalty: `(posterior, latent, batch, step, rng) -> named terms`.

Every term that is a rate or a divergence is in nats per audio sample, the scale of losses/mix.py;
settings are in nats per latent frame and are converted inside.
"""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from timbrel.contracts import Batch, Latent, Posterior


class Penalty(Protocol):
    """Terms of one value per example, or one value where the examples are judged together."""

    def __call__(
        self,
        posterior: Posterior,
        latent: Latent,
        batch: Batch,
        step: int,
        rng: torch.Generator,
    ) -> dict[str, Tensor]: ...


@runtime_checkable
class Adversary(Protocol):
    """A penalty with parameters: they learn from `own_loss` by `optimizer`, and by nothing else.

    `own_loss` is handed the step's latent without its graph; no gradient of it reaches the model,
    and the penalty's terms give the adversary none.
    """

    def optimizer(self) -> torch.optim.Optimizer: ...

    def own_loss(self, latent: Latent, rng: torch.Generator) -> Tensor: ...


def frames_per_sample(latent: Latent, batch: Batch) -> float:
    """Latent frames per audio sample: nats per frame times this are nats per sample."""
    return latent.frames.shape[2] / batch.input.shape[-1]
