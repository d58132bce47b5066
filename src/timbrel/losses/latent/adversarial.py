"""Total correlation as a discriminator sees it: FactorVAE (Kim & Mnih 2018)."""

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import softplus

from timbrel.contracts import Batch, Latent, Posterior
from timbrel.losses.adversary import Pass
from timbrel.losses.latent.penalty import frames_per_sample
from timbrel.losses.latent.rate import rate_nats
from timbrel.losses.latent.rows import one_row_per_clip

_SLOPE = 0.2  # of the leaky units; Kim & Mnih 2018, appendix A
_BETAS = (0.5, 0.9)


def permute_dimensions(
    rows: Float[Tensor, "row width"], rng: torch.Generator
) -> Float[Tensor, "row width"]:
    """Every column shuffled by itself: a sample of the product of marginals (algorithm 1)."""
    order = torch.rand(rows.shape, generator=rng, device=rows.device).argsort(0)
    return rows.gather(0, order)


class FactorVAE(nn.Module):
    """`total_correlation`, log D / (1 - D) of the sampled codes, and `kl` (eq. 2 and 3).

    The discriminator tells codes from codes with permuted dimensions; it has its own optimizer
    and takes its own step after the model's (algorithm 2). The term is in nats per audio sample, a
    row standing for a frame; its weight is the paper's gamma.

    Rows must be independent, so one frame per clip is drawn (beside it, its clip's code): N is the
    batch size, and a discriminator that meets 8 rows per step needs many steps. Differs: the
    permuted codes are other frames of the same clips, not a second batch, and the network is
    smaller than the paper's six layers of 1000.
    """

    def __init__(
        self, *, latent_dim: int, clip_dim: int, width: int, layers: int, learning_rate: float
    ) -> None:
        super().__init__()
        if min(width, layers) < 1 or learning_rate <= 0:
            raise ValueError("penalty.width and penalty.layers: 1 or more; learning_rate: above 0")
        sizes = [latent_dim + clip_dim, *[width] * layers]
        hidden: list[nn.Module] = []
        for before, after in pairwise(sizes):
            hidden += [nn.Linear(before, after), nn.LeakyReLU(_SLOPE)]
        self.discriminator = nn.Sequential(*hidden, nn.Linear(width, 1))
        self.learning_rate = learning_rate

    def forward(
        self, posterior: Posterior, latent: Latent, batch: Batch, step: int, rng: torch.Generator
    ) -> dict[str, Tensor]:
        rows = one_row_per_clip(latent, rng)
        frozen = {name: p.detach() for name, p in self.discriminator.named_parameters()}
        logit = functional_call(self.discriminator, frozen, (rows,)).squeeze(1)
        return {
            "kl": rate_nats(posterior) / batch.target.shape[-1],
            "total_correlation": logit * frames_per_sample(latent, batch),
        }

    def optimizer(self) -> torch.optim.Optimizer:
        """Adam at a constant learning rate, as in the paper."""
        return torch.optim.Adam(self.parameters(), lr=self.learning_rate, betas=_BETAS)

    def own_loss(self, forward: Pass, batch: Batch, step: int, rng: torch.Generator) -> Tensor:
        """Cross-entropy of telling codes from permuted ones; ln 2 where they are alike."""
        found = one_row_per_clip(forward.latent, rng)
        permuted = permute_dimensions(one_row_per_clip(forward.latent, rng), rng)
        real, fake = self.discriminator(found), self.discriminator(permuted)
        return 0.5 * (softplus(-real).mean() + softplus(fake).mean())
