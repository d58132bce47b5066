"""Moments of the aggregate posterior brought to the prior's: DIP-VAE (Kumar et al. 2018)."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from timbrel.contracts import Batch, Latent, Posterior
from timbrel.losses.latent.rate import gaussian, rate_nats
from timbrel.losses.latent.rows import PastRows, at_frames, draw_frames


def covariance(
    present: Float[Tensor, "row width"], past: Float[Tensor, "other width"]
) -> Float[Tensor, "width width"]:
    """Unbiased covariance over both; the gradient is that of as many present rows.

    Rows of the past have no graph: without the factor a queue would weaken the penalty.
    """
    rows = torch.cat([present, past])
    centred = rows - rows.mean(0)
    found = centred.T @ centred / max(1, len(rows) - 1)
    held = found.detach()
    return held + (found - held) * (len(rows) / len(present))


def off_diagonal_and_diagonal(matrix: Float[Tensor, "width width"]) -> tuple[Tensor, Tensor]:
    """sum_{i != j} C_ij^2 and sum_i (C_ii - 1)^2.

    >>> off_diagonal_and_diagonal(torch.tensor([[2.0, 3.0], [3.0, 1.0]]))
    (tensor(18.), tensor(1.))
    """
    diagonal = matrix.diagonal()
    return (
        (matrix - torch.diag(diagonal)).square().sum(),
        (diagonal - 1.0).square().sum(),
    )


class DIP(nn.Module):
    """`dip_off_diagonal` and `dip_diagonal`, of a covariance C over clips, and `kl`.

    C is that of the posterior means (variant "i"; Kumar et al. 2018, eq. 6) or that of the
    aggregate posterior, the mean variance added to it (variant "ii"; eq. 7). The weights are the
    paper's lambda_od and lambda_d; the terms have no unit.

    Rows must be independent, so one frame per clip is drawn per step (beside it, its clip's code).
    N rows make a covariance of rank N - 1, and sampling alone puts a square of about 1 / N into
    every pair: 8 rows of 32 dimensions would be nothing but that, so `queue_rows` rows of earlier
    steps are counted in.
    """

    def __init__(
        self, *, variant: Literal["i", "ii"], latent_dim: int, clip_dim: int, queue_rows: int
    ) -> None:
        super().__init__()
        self.variant = variant
        self.past = PastRows(rows=queue_rows, width=latent_dim + clip_dim)

    def forward(
        self, posterior: Posterior, latent: Latent, batch: Batch, step: int, rng: torch.Generator
    ) -> dict[str, Tensor]:
        mean, log_var = gaussian(posterior)
        index = draw_frames(latent, rng)
        means = torch.cat([at_frames(mean.frames, index), mean.clip], dim=1)
        matrix = covariance(means, self.past.rows())
        self.past.add(means)
        if self.variant == "ii":
            variances = torch.cat([at_frames(log_var.frames, index), log_var.clip], dim=1).exp()
            matrix = matrix + torch.diag(variances.mean(0))
        off_diagonal, diagonal = off_diagonal_and_diagonal(matrix)
        return {
            "kl": rate_nats(posterior) / batch.target.shape[-1],
            "dip_off_diagonal": off_diagonal,
            "dip_diagonal": diagonal,
        }
