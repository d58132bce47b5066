"""A penalty that holds the KL at a capacity, which may grow with the step (Burgess et al. 2018)."""

import torch
from torch import Tensor, nn

from timbrel.contracts import Batch, Latent, Posterior
from timbrel.losses.latent.penalty import frames_per_sample
from timbrel.losses.latent.rate import nats_per_frame
from timbrel.losses.schedules import Schedule


class Capacity(nn.Module):
    """|KL - C| (Burgess et al. 2018, "Understanding disentangling in beta-VAE", eq. 8).

    Terms: `capacity`, the distance of the batch's mean KL from C, and `kl`, which is logged only
    (weight 0). `target_nats_per_frame` is C, a number or a schedule. Differs: the distance is that
    of the batch's mean, because the KL of the paper is an average over the data.
    """

    def __init__(self, *, target_nats_per_frame: float | Schedule) -> None:
        super().__init__()
        if not callable(target_nats_per_frame) and target_nats_per_frame < 0:
            raise ValueError(f"penalty.target_nats_per_frame={target_nats_per_frame}: 0 or more")
        self.target = target_nats_per_frame

    def forward(
        self, posterior: Posterior, latent: Latent, batch: Batch, step: int, rng: torch.Generator
    ) -> dict[str, Tensor]:
        target = self.target(step) if callable(self.target) else self.target
        rate = nats_per_frame(posterior)
        per_sample = frames_per_sample(latent, batch)
        return {"kl": rate * per_sample, "capacity": (rate - target).abs() * per_sample}
