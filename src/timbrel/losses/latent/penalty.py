"""What training asks of a penalty: `(posterior, latent, batch, step, rng) -> named terms`.

Every term that is a KL or another divergence is in nats per audio sample, as in losses/mix.py;
settings are in nats per latent frame and are converted inside.
"""

from typing import Protocol

import torch

from timbrel.contracts import Batch, Latent, Posterior
from timbrel.losses.terms import Terms


class Penalty(Protocol):
    """Terms of one value per example, or one value where the examples are judged together.

    A value that is only logged is a `Diagnostic`, and needs no weight. A penalty with parameters
    that learn is an `Adversary` (losses/adversary.py) as well: its terms give those parameters no
    gradient.
    """

    def __call__(
        self,
        posterior: Posterior,
        latent: Latent,
        batch: Batch,
        step: int,
        rng: torch.Generator,
    ) -> Terms: ...


def frames_per_sample(latent: Latent, batch: Batch) -> float:
    """Latent frames per audio sample: nats per frame times this are nats per sample."""
    return latent.frames.shape[2] / batch.target.shape[-1]
