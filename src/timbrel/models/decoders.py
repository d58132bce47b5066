"""Decoders: a code, with the conditions that it carries, to audio."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from timbrel.contracts import Latent
from timbrel.dsp.stft import hann, istft
from timbrel.models.blocks import FrameStack
from timbrel.models.linear import Linear
from timbrel.models.noise import PositionalNoise

_LOG_MAGNITUDE_START = math.log(1e-3)  # an untrained decoder whispers
_LOG_MAGNITUDE_MAX = math.log(10.0)
_TINY = 1e-12
NOISE_PERIOD_FRAMES = 1024  # about 11 s: too long for the repetition to be heard


class SpectralDecoder(nn.Module):
    """Residual blocks at frame rate, then an inverse STFT: a coherent part and a noise part.

    No up-sampling layer, hence no imaging (Siuzdak 2023, "Vocos"). Differs: the frame grid has no
    extra frame, the clip code joins every frame, the phase is a direction in the plane (no wrap to
    learn), and every bin mixes in noise of a learned level (Serra & Smith 1990), or noisy sounds
    would come out as a buzz at the frame rate.
    """

    window: Float[Tensor, " window"]

    def __init__(
        self,
        *,
        channels: int,
        latent_dim: int,
        clip_dim: int,
        window_samples: int,
        hop_samples: int,
        width: int,
        blocks: int,
        kernel_frames: int,
        expansion: int,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.channels = channels
        self.hop_samples = hop_samples
        self.register_buffer("window", hann(window_samples), persistent=False)
        self.bins = window_samples // 2 + 1
        self.project = Linear(latent_dim + clip_dim, width)
        self.stack = FrameStack(
            width=width,
            blocks=blocks,
            kernel_frames=kernel_frames,
            expansion=expansion,
            dropout=dropout,
        )
        self.magnitude = whisper(width, channels * self.bins)
        self.direction = Linear(width, 2 * channels * self.bins)
        self.noise = whisper(width, channels * self.bins)
        self.white = PositionalNoise(channels * self.bins, period_frames=NOISE_PERIOD_FRAMES)
        reach_samples = (window_samples - hop_samples) // 2
        self.context_frames = self.stack.context_frames + math.ceil(reach_samples / hop_samples)

    def forward(self, latent: Latent) -> Float[Tensor, "batch channel time"]:
        n_batch, _, n_frames = latent.frames.shape
        clip = latent.clip[:, :, None].expand(-1, -1, n_frames)
        code = torch.cat([latent.frames, clip], dim=1).transpose(1, 2)
        features = self.stack(self.project(code))
        with torch.autocast(features.device.type, enabled=False):  # exp and FFT want fp32
            full_scale = self.window.sum() / 2
            real, imaginary, to_unit = direction(self.direction(features))
            coherent = level(self.magnitude(features)) * to_unit
            noise_level = level(self.noise(features))
            noise = self.white(n_frames, latent.conditions.first_frame)
            spectrum = full_scale * torch.complex(
                coherent * real + noise_level * noise[..., 0],
                coherent * imaginary + noise_level * noise[..., 1],
            )
            spectrum = spectrum.unflatten(2, (self.channels, self.bins))
            spectrum = spectrum.permute(0, 2, 3, 1).flatten(0, 1)
            audio = istft(spectrum, self.window, self.hop_samples)
        return audio.view(n_batch, self.channels, -1)


def whisper(width: int, values: int) -> Linear:
    """A layer of log magnitudes, all of them at -60 dB while nothing is learned."""
    layer = Linear(width, values)
    nn.init.constant_(layer.bias, _LOG_MAGNITUDE_START)
    return layer


def direction(pairs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Real and imaginary parts of points in the plane, and the factors that give them length 1."""
    real, imaginary = single(pairs).chunk(2, dim=-1)
    return real, imaginary, (real.square() + imaginary.square() + _TINY).rsqrt()


def level(log_magnitude: Tensor) -> Tensor:
    """Magnitudes, 1 for a full-scale sine and at most 10."""
    return torch.exp(single(log_magnitude).clamp_max(_LOG_MAGNITUDE_MAX))


def single(x: Tensor) -> Tensor:
    """At least single precision: what autocast makes is too coarse for sines and FFTs.

    >>> [single(torch.ones(1, dtype=t)).dtype for t in (torch.bfloat16, torch.float64)]
    [torch.float32, torch.float64]
    """
    return x if x.dtype == torch.float64 else x.float()
