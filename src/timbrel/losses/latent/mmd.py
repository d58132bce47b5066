"""Codes as a whole brought to the prior: the penalty of the WAE-MMD (Tolstikhin et al. 2018)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from timbrel.contracts import Batch, Latent, Posterior
from timbrel.losses.latent.rows import one_row_per_clip


def squared_mmd(
    codes: Float[Tensor, "row width"], prior: Float[Tensor, "other width"]
) -> Float[Tensor, ""]:
    """Unbiased squared MMD with the kernel C / (C + |x - y|^2), C = 2 width.

    The inverse multiquadratic kernel and its scale: Tolstikhin et al. 2018, section 4 (prior of
    unit variance); the estimate: their algorithm 2. It may come out below 0.
    """
    scale = 2.0 * codes.shape[1]

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        return scale / (scale + (x[:, None] - y[None]).square().sum(2))

    def among(x: Tensor) -> Tensor:
        n = len(x)
        return (kernel(x, x).sum() - n) / (n * (n - 1))  # a row with itself: exactly 1

    return among(codes) + among(prior) - 2.0 * kernel(codes, prior).mean()


class MMD(nn.Module):
    """`mmd`: distance of the codes' distribution from N(0, 1); no single code is pulled to 0.

    Meant for a deterministic posterior, and takes a Gaussian one's samples as well. The weight is
    the paper's lambda; the term has no unit. Rows must be independent, so one frame per clip is
    drawn per step (beside it, its clip's code): N is the batch size. The prior's sample costs
    nothing and is larger (`prior_rows`), which steadies the estimate; the noise of N stays, and
    averages out over steps, for the estimate is unbiased.
    """

    def __init__(self, *, prior_rows: int = 256) -> None:
        super().__init__()
        if prior_rows < 2:
            raise ValueError(f"penalty.prior_rows={prior_rows}: 2 or more")
        self.prior_rows = prior_rows

    def forward(
        self, posterior: Posterior, latent: Latent, batch: Batch, step: int, rng: torch.Generator
    ) -> dict[str, Tensor]:
        rows = one_row_per_clip(latent, rng)
        if len(rows) < 2:  # one clip has no distribution
            return {"mmd": 0.0 * rows.sum()}
        shape = (self.prior_rows, rows.shape[1])
        prior = torch.randn(shape, generator=rng, device=rows.device, dtype=rows.dtype)
        return {"mmd": squared_mmd(rows, prior)}
