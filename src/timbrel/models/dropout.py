"""Dropout whose masks come from a generator handed in for the step, never from the global one."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn

from timbrel.contracts import Latent
from timbrel.randomness import WHOLE, Share


class SeededDropout(nn.Module):
    """Channels of an example are zeroed with `probability`, and the others scaled up.

    Srivastava et al. 2014; whole channels, one mask for all frames, as frames beside each other
    would give away what one of them lacks: Tompson et al. 2015, "SpatialDropout". Active inside
    `drawing` alone; elsewhere, and at probability 0, the input passes through untouched.
    """

    def __init__(self, probability: float, *, channel_dim: int) -> None:
        super().__init__()
        if not 0 <= probability < 1:
            raise ValueError(f"dropout={probability}: a probability, from 0 to below 1")
        self.probability = probability
        self.channel_dim = channel_dim
        self.rng: torch.Generator | None = None
        self.share = WHOLE

    def forward(self, x: Tensor) -> Tensor:
        if self.rng is None or self.probability == 0:
            return x
        shape = [1] * x.dim()
        shape[0], shape[self.channel_dim] = x.shape[0], x.shape[self.channel_dim]
        return x * _mask(shape, self.probability, x, self.rng, self.share)


@contextmanager
def drawing(module: nn.Module, rng: torch.Generator, share: Share = WHOLE) -> Iterator[None]:
    """Every `SeededDropout` in `module` draws its masks from `rng`, until the block ends.

    Those in evaluation mode, as in a part of the model that rests, stay off.
    """
    layers = [p for p in module.modules() if isinstance(p, SeededDropout) and p.training]
    for layer in layers:
        layer.rng, layer.share = rng, share
    try:
        yield
    finally:
        for layer in layers:
            layer.rng = None


def drop_dimensions(
    latent: Latent, probability: float, rng: torch.Generator, share: Share = WHOLE
) -> Latent:
    """The code with some dimensions of some clips zeroed, in all frames, and the others scaled up.

    Srivastava et al. 2014 on the code, so that a decoder cannot lean on one dimension alone. At
    probability 0 nothing is drawn.
    """
    if probability == 0:
        return latent
    frames, clip = latent.frames, latent.clip
    return replace(
        latent,
        frames=frames * _mask([*frames.shape[:2], 1], probability, frames, rng, share),
        clip=clip * _mask([*clip.shape], probability, clip, rng, share),
    )


def _mask(
    shape: list[int], probability: float, like: Tensor, rng: torch.Generator, share: Share
) -> Tensor:
    kept = share.draw(torch.rand, shape, rng) >= probability
    return kept.to(like.dtype) / (1.0 - probability)
