"""Encoders: audio to features at frame rate. A posterior turns the features into a code."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from timbrel.dsp.stft import hann, stft
from timbrel.models.blocks import FrameStack
from timbrel.models.linear import Linear

_FLOOR = 1e-7  # -140 dB of a full-scale sine: below a 24-bit recording's own noise


class SpectralEncoder(nn.Module):
    """Log magnitudes of an STFT and the phases of its low bins, then blocks at frame rate.

    Input `batch channel time` in whole hops, output `batch frame width`, one frame per hop. Without
    phases a steady tone looks the same in every frame, and no decoder could give back a tone that
    is not a multiple of the frame rate; `phase_bins` bins from 0 Hz up are seen as vectors.

    `relative` is the share of a frame's level, in dB, that is taken off its magnitudes: with 1 they
    are seen beside their root mean square. A change of level moves a thousand bins alike, so a
    short training tells loud frames from soft ones before it tells one instrument from another; a
    decoder that is given the level needs the latter.
    """

    window: Float[Tensor, " window"]

    def __init__(
        self,
        *,
        channels: int,
        window_samples: int,
        hop_samples: int,
        phase_bins: int,
        width: int,
        blocks: int,
        kernel_frames: int,
        expansion: int,
        relative: float = 0.0,
    ) -> None:
        super().__init__()
        self.hop_samples = hop_samples
        self.phase_bins = phase_bins
        self.relative = relative
        self.width = width
        self.register_buffer("window", hann(window_samples), persistent=False)
        bins = window_samples // 2 + 1
        if not 0 <= phase_bins <= bins:
            raise ValueError(f"phase_bins={phase_bins}: the window has {bins} bins")
        if not 0 <= relative <= 1:
            raise ValueError(f"relative={relative}: a share, from 0 to 1")
        self.project = Linear(channels * (bins + 2 * phase_bins), width)
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
        magnitude = spectrum.abs() / full_scale
        low = spectrum[..., : self.phase_bins, :] / full_scale
        if self.relative:
            square = magnitude.square().mean(dim=(1, 2), keepdim=True).clamp_min(_FLOOR**2)
            gain = square.pow(-0.5 * self.relative)
            magnitude, low = magnitude * gain, low * gain
        magnitude = magnitude.clamp_min(_FLOOR)
        centred = 1.0 + torch.log(magnitude) * (2.0 / -math.log(_FLOOR))  # -140...0 dB to -1...1
        # A cube root of the amplitude: loud partials lead, and noise floors do not.
        direction = low * magnitude[..., : self.phase_bins, :].pow(-2 / 3)
        seen = torch.cat([centred, direction.real, direction.imag], dim=-2)
        return self.stack(self.project(seen.flatten(1, 2).transpose(1, 2)))
