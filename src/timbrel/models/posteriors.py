"""Posteriors: features to q(z|x), for frame codes and for clip codes."""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from timbrel.contracts import Latent, Posterior
from timbrel.models.linear import Linear
from timbrel.randomness import WHOLE, Share

_LOG_VAR_START = -4.0  # a quiet start: the decoder learns before the noise rises to meet the prior
_LOG_VAR_RANGE = (-14.0, 4.0)


class GaussianPosterior(nn.Module):
    """A diagonal Gaussian per frame, and one per clip from the features' mean and maximum.

    Kingma & Welling 2014, section 3. Either width may be 0.
    """

    def __init__(self, *, width: int, latent_dim: int, clip_dim: int) -> None:
        super().__init__()
        _check_width(width)
        self.frame_mean = _head(width, latent_dim)
        self.frame_log_var = _head(width, latent_dim, bias=_LOG_VAR_START)
        self.clip_mean = _head(2 * width, clip_dim)
        self.clip_log_var = _head(2 * width, clip_dim, bias=_LOG_VAR_START)

    def forward(self, features: Float[Tensor, "batch frame width"]) -> Posterior:
        pooled = _pooled(features)
        mean = Latent(self.frame_mean(features).transpose(1, 2), self.clip_mean(pooled))
        log_var = Latent(self.frame_log_var(features).transpose(1, 2), self.clip_log_var(pooled))
        return Posterior(
            mean.map(Tensor.float), log_var.map(lambda x: x.float().clamp(*_LOG_VAR_RANGE))
        )


class PointPosterior(nn.Module):
    """One code and no variance: the deterministic encoder of a WAE (Tolstikhin et al. 2018).

    It has no KL, so penalties on the KL raise an error with it. Either width may be 0.
    """

    def __init__(self, *, width: int, latent_dim: int, clip_dim: int) -> None:
        super().__init__()
        _check_width(width)
        self.frame_mean = _head(width, latent_dim)
        self.clip_mean = _head(2 * width, clip_dim)

    def forward(self, features: Float[Tensor, "batch frame width"]) -> Posterior:
        frames = self.frame_mean(features).transpose(1, 2)
        mean = Latent(frames, self.clip_mean(_pooled(features)))
        return Posterior(mean.map(Tensor.float), None)


def _check_width(width: int) -> None:
    if width < 1:
        raise ValueError(
            f"posterior.width={width}: 1 or more; an architecture without encoder.width names the "
            "width of its features in architecture.width, or set latent.posterior.width"
        )


def _pooled(features: Float[Tensor, "batch frame width"]) -> Float[Tensor, "batch width2"]:
    """Mean and maximum over frames, side by side."""
    return torch.cat([features.mean(1), features.amax(1)], dim=1)


class _Nothing(nn.Module):
    """The head of a code of width 0."""

    def forward(self, x: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch 0"]:
        return x[..., :0]


def _head(width: int, dim: int, bias: float = 0.0) -> nn.Module:
    if dim == 0:
        return _Nothing()
    layer = Linear(width, dim)
    nn.init.constant_(layer.bias, bias)
    return layer


def sample(posterior: Posterior, rng: torch.Generator, share: Share = WHOLE) -> Latent:
    """One draw by the reparameterisation trick; the mean itself where there is no variance."""
    if posterior.log_var is None:
        return posterior.mean

    def draw(mean: Tensor, log_var: Tensor) -> Tensor:
        noise = share.draw(torch.randn, mean.shape, rng, dtype=mean.dtype)
        return mean + torch.exp(0.5 * log_var) * noise

    return replace(
        posterior.mean,
        frames=draw(posterior.mean.frames, posterior.log_var.frames),
        clip=draw(posterior.mean.clip, posterior.log_var.clip),
    )
