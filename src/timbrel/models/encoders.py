"""Encoders: audio to features at frame rate. A posterior turns the features into a code."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from timbrel.dsp.stft import hann, stft
from timbrel.models.blocks import FrameStack

_FLOOR = 1e-7  # -140 dB of a full-scale sine: below a 24-bit recording's own noise


class SpectralEncoder(nn.Module):
    """Log magnitudes of an STFT, then residual blocks at frame rate.

    Input `batch channel time` in whole hops, output `batch frame width`, one frame per hop.
    """

    window: Float[Tensor, " window"]

    def __init__(
        self,
        *,
        channels: int,
        window_samples: int,
        hop_samples: int,
        width: int,
        blocks: int,
        kernel_frames: int,
        expansion: int,
    ) -> None:
        super().__init__()
        self.hop_samples = hop_samples
        self.width = width
        self.register_buffer("window", hann(window_samples), persistent=False)
        bins = window_samples // 2 + 1
        self.project = nn.Linear(channels * bins, width)
        self.stack = FrameStack(
            width=width, blocks=blocks, kernel_frames=kernel_frames, expansion=expansion
        )
        reach_samples = (window_samples - hop_samples) // 2
        self.context_frames = self.stack.context_frames + math.ceil(reach_samples / hop_samples)

    def forward(
        self, audio: Float[Tensor, "batch channel time"]
    ) -> Float[Tensor, "batch frame width"]:
        spectrum = stft(audio, self.window, self.hop_samples)  # batch channel bin frame
        full_scale = self.window.sum() / 2  # the magnitude of a sine of amplitude 1
        log_magnitude = torch.log((spectrum.abs() / full_scale).clamp_min(_FLOOR))
        centred = 1.0 + log_magnitude * (2.0 / -math.log(_FLOOR))  # -140...0 dB to -1...1
        return self.stack(self.project(centred.flatten(1, 2).transpose(1, 2)))
