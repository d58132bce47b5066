"""The KL split into three terms, each with its own weight (Chen et al. 2018)."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from timbrel.contracts import Batch, Latent, Posterior
from timbrel.losses.latent.penalty import frames_per_sample
from timbrel.losses.latent.rate import gaussian, rate_nats
from timbrel.losses.latent.rows import PastRows, at_frames, draw_frames
from timbrel.losses.terms import Diagnostic, Terms

_LOG_2PI = math.log(2 * math.pi)


def log_density(z: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
    """log N(z; mean, var) of every element."""
    return -0.5 * ((z - mean).square() * (-log_var).exp() + log_var + _LOG_2PI)


def decompose(
    z: Float[Tensor, "row width"],
    mean: Float[Tensor, "other width"],
    log_var: Float[Tensor, "other width"],
) -> tuple[Tensor, Tensor, Tensor]:
    """Mutual information, total correlation and dimension-wise KL of samples z, in nats per row.

    The first rows of `mean` and `log_var` are those that `z` was drawn from. Their sum is
    the sampled KL, exactly (Chen et al. 2018, eq. 2), whatever the estimate of q(z).

    log q(z_i) is estimated as log 1/M sum_j q(z_i | n_j) over the M rows at hand: minibatch-
    weighted sampling (eq. 3) up to its constant. Differs: the constant log N (N, size of the data)
    is left out, because crops cannot be counted and it has no gradient; with it the total
    correlation of D dimensions would be (D - 1) log N too high even with infinite batches. Bias:
    z_i's own posterior is always among the M, so log q(z_i) is estimated too high, mutual
    information never above log M nats (2.1 for 8 rows), and total correlation is inexact for
    small M.
    """
    if z.shape[1] == 0:
        nothing = z.new_zeros(())
        return nothing, nothing, nothing
    pairs = log_density(z[:, None], mean[None], log_var[None])  # row other width
    log_m = math.log(len(mean))
    conditional = log_density(z, mean[: len(z)], log_var[: len(z)]).sum(1)
    joint = pairs.sum(2).logsumexp(1) - log_m
    marginals = pairs.logsumexp(1) - log_m
    prior = -0.5 * (z.square() + _LOG_2PI)
    return (
        (conditional - joint).mean(),
        (joint - marginals.sum(1)).mean(),
        (marginals - prior).sum(1).mean(),
    )


class BetaTC(nn.Module):
    """`mutual_information`, `total_correlation`, `dimension_kl` (Chen et al. 2018, eq. 4).

    With weight 1 on all three, they are the sampled KL of the ELBO; a larger weight on
    `total_correlation` makes dimensions independent without a lower KL. `kl` is a diagnostic.

    Rows must be independent, and frames of a clip are not: one frame per clip is drawn per step,
    so N is the batch size; `queue_rows` rows of earlier steps join them in q(z). Frame codes and
    clip codes are split separately, because their terms are per frame and per clip.
    """

    def __init__(self, *, latent_dim: int, clip_dim: int, queue_rows: int) -> None:
        super().__init__()
        self.past_frames = PastRows(rows=queue_rows, width=2 * latent_dim)
        self.past_clips = PastRows(rows=queue_rows, width=2 * clip_dim)

    def forward(
        self, posterior: Posterior, latent: Latent, batch: Batch, step: int, rng: torch.Generator
    ) -> Terms:
        mean, log_var = gaussian(posterior)
        index = draw_frames(latent, rng)
        frames = (at_frames(part.frames, index) for part in (latent, mean, log_var))
        of_frames = _with_past(self.past_frames, *frames)
        of_clips = _with_past(self.past_clips, latent.clip, mean.clip, log_var.clip)
        n_time, per_sample = batch.target.shape[-1], frames_per_sample(latent, batch)
        names = ("mutual_information", "total_correlation", "dimension_kl")
        return {
            "kl": Diagnostic(rate_nats(posterior) / n_time),
            **{
                name: frame * per_sample + clip / n_time
                for name, frame, clip in zip(names, of_frames, of_clips, strict=True)
            },
        }


def _with_past(
    past: PastRows, z: Tensor, mean: Tensor, log_var: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    known = torch.cat([mean, log_var], dim=1)
    everyone = torch.cat([known, past.rows()])
    terms = decompose(z, *everyone.chunk(2, dim=1))
    past.add(known)
    return terms
