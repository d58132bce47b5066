"""Penalties on the posterior: `(posterior, latent, batch, step, rng) -> named terms`."""

from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor, nn

from timbrel.contracts import Batch, Latent, Posterior


class Penalty(Protocol):
    """What the loss mix asks of a penalty; a penalty with parameters is an `nn.Module`."""

    def __call__(
        self,
        posterior: Posterior,
        latent: Latent,
        batch: Batch,
        step: int,
        rng: torch.Generator,
    ) -> dict[str, Tensor]: ...


def kl_nats(mean: Tensor, log_var: Tensor) -> Tensor:
    """KL(N(mean, var) || N(0, 1)) of every element, in nats (Kingma & Welling 2014, appendix B).

    >>> float(kl_nats(torch.tensor(1.0), torch.tensor(0.0)))
    0.5
    """
    return 0.5 * (mean.square() + log_var.exp() - 1.0 - log_var)


def rate_nats(posterior: Posterior) -> Float[Tensor, " batch"]:
    """Nats per clip chunk: KL to N(0, 1), summed over frames and dimensions, frame and clip codes.

    Raises:
        ValueError: the posterior is deterministic, where the rate is infinite.
    """
    if posterior.log_var is None:
        raise ValueError("a deterministic posterior has no finite rate; use a Gaussian one")
    mean, log_var = posterior.mean, posterior.log_var
    return kl_nats(mean.frames, log_var.frames).flatten(1).sum(1) + kl_nats(
        mean.clip, log_var.clip
    ).sum(1)


class KL(nn.Module):
    """The rate of the ELBO, in nats per audio sample: `kl`.

    The reconstruction terms are means per spectrogram element, a Laplace likelihood of unit scale
    per sample; with the rate per sample beside them, a weight of 1 is the ELBO (losses/mix.py).
    """

    def forward(
        self, posterior: Posterior, latent: Latent, batch: Batch, step: int, rng: torch.Generator
    ) -> dict[str, Tensor]:
        return {"kl": rate_nats(posterior) / batch.input.shape[-1]}
