"""The KL divergence of the posterior from the prior, in nats, and the penalty that is the KL."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from timbrel.contracts import Batch, Latent, Posterior


def kl_nats(mean: Tensor, log_var: Tensor) -> Tensor:
    """KL(N(mean, var) || N(0, 1)) of every element, in nats (Kingma & Welling 2014, appendix B).

    >>> float(kl_nats(torch.tensor(1.0), torch.tensor(0.0)))
    0.5
    """
    return 0.5 * (mean.square() + log_var.exp() - 1.0 - log_var)


def gaussian(posterior: Posterior) -> tuple[Latent, Latent]:
    """Mean and log variance.

    Raises:
        ValueError: the posterior is deterministic, and its KL infinite.
    """
    if posterior.log_var is None:
        raise ValueError("a deterministic posterior has no finite KL; use a Gaussian one")
    return posterior.mean, posterior.log_var


def rate_nats(posterior: Posterior) -> Float[Tensor, " batch"]:
    """KL to N(0, 1) in nats per chunk, summed over frames and dimensions of frame and clip code.

    Raises:
        ValueError: the posterior is deterministic, and its KL infinite.
    """
    mean, log_var = gaussian(posterior)
    return kl_nats(mean.frames, log_var.frames).flatten(1).sum(1) + kl_nats(
        mean.clip, log_var.clip
    ).sum(1)


def nats_per_frame(posterior: Posterior) -> Float[Tensor, ""]:
    """Mean KL of a batch in nats per latent frame; the clip code's KL is divided by the frames."""
    return rate_nats(posterior).mean() / posterior.mean.frames.shape[2]


class KL(nn.Module):
    """The KL term of the ELBO, in nats per audio sample: `kl`.

    The reconstruction terms are means per spectrogram element, a Laplace likelihood of unit scale
    per sample. With the KL per sample added at a weight of 1 they are the ELBO (losses/mix.py).
    """

    def forward(
        self, posterior: Posterior, latent: Latent, batch: Batch, step: int, rng: torch.Generator
    ) -> dict[str, Tensor]:
        return {"kl": rate_nats(posterior) / batch.target.shape[-1]}
