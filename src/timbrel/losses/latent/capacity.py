"""A penalty that holds the KL at a capacity, which may grow with the step (Burgess et al. 2018)."""

import torch
from torch import nn

from timbrel.contracts import Batch, Latent, Posterior
from timbrel.losses.latent.penalty import frames_per_sample
from timbrel.losses.latent.rate import nats_per_frame
from timbrel.losses.schedules import Schedule
from timbrel.losses.terms import Diagnostic, Terms


class Capacity(nn.Module):
    """|KL - C| (Burgess et al. 2018, "Understanding disentangling in beta-VAE", eq. 8).

    Term: `capacity`, the distance of the batch's mean KL from C; diagnostic: `kl`.
    `target_nats_per_frame` is C, a number or a schedule. Differs: the distance is that of the
    batch's mean, because the KL of the paper is an average over the data.
    """

    def __init__(self, *, target_nats_per_frame: float | Schedule) -> None:
        super().__init__()
        if not callable(target_nats_per_frame) and target_nats_per_frame < 0:
            raise ValueError(f"penalty.target_nats_per_frame={target_nats_per_frame}: 0 or more")
        self.target = target_nats_per_frame

    def forward(
        self, posterior: Posterior, latent: Latent, batch: Batch, step: int, rng: torch.Generator
    ) -> Terms:
        target = self.target(step) if callable(self.target) else self.target
        rate = nats_per_frame(posterior)
        per_sample = frames_per_sample(latent, batch)
        distance = (rate - target).abs()
        return {"kl": Diagnostic(rate * per_sample), "capacity": distance * per_sample}
