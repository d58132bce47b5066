"""A code in another time: of a sound played at another speed."""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from timbrel.contracts import Latent, Posterior


def warped(posterior: Posterior, speed: Float[Tensor, " batch"], n_frames: int) -> Posterior:
    """The posterior of the frame code, resampled to `n_frames`; clip code and tracks stay.

    A frame stands for its middle: frame j is read at position `(j + 0.5) * speed - 0.5` of the
    code that there is, its means and logarithms of variances linearly interpolated, and held beyond
    its ends. A speed of 1 only cuts.
    """
    mean, log_var = posterior.mean, posterior.log_var
    shares = _shares(mean.n_frames, speed, n_frames)
    return Posterior(
        _resampled(mean, shares), None if log_var is None else _resampled(log_var, shares)
    )


def _shares(
    known: int, speed: Float[Tensor, " batch"], n_frames: int
) -> Float[Tensor, "batch known frame"]:
    """How much of every frame that there is goes into each new one."""
    middles = torch.arange(n_frames, device=speed.device) + 0.5
    at = (middles * speed[:, None] - 0.5).clamp(0, known - 1)
    there = torch.arange(known, device=speed.device)
    return (1 - (at[:, None, :] - there[None, :, None]).abs()).clamp(min=0)


def _resampled(code: Latent, shares: Float[Tensor, "batch known frame"]) -> Latent:
    # Neither a matrix product, which TF32 or bf16 would round, nor a gather, whose gradient has no
    # fixed order of sums on CUDA.
    frames = (code.frames[:, :, :, None] * shares[:, None]).sum(2)
    return replace(code, frames=frames)
