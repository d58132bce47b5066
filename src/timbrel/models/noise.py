"""Noise drawn by position in the sound, so that a stream hears what a whole file hears."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from timbrel.randomness import torch_generator


class PositionalNoise(nn.Module):
    """Complex white noise of unit power per frame and bin, the same in every model and machine.

    It repeats after `period_frames`. `(n_frames, first_frame) -> (#batch, frame, width, 2)`.
    """

    frames: Float[Tensor, "frame width 2"]

    def __init__(self, width: int, *, period_frames: int) -> None:
        super().__init__()
        rng = torch_generator(0, 0, "decoder noise")
        frames = torch.randn(period_frames, width, 2, generator=rng) * math.sqrt(0.5)
        self.register_buffer("frames", frames, persistent=False)

    def forward(
        self, n_frames: int, first_frame: Int[Tensor, " batch"] | None
    ) -> Float[Tensor, "#batch frame width 2"]:
        index = torch.arange(n_frames, device=self.frames.device)[None]
        if first_frame is not None:
            index = index + first_frame[:, None]
        return self.frames[index % len(self.frames)]
