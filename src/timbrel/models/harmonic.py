"""A decoder that plays the pitch it is told: harmonics at f0, a free part, and noise."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from timbrel.contracts import Latent
from timbrel.dsp.stft import hann, istft, stft
from timbrel.models.blocks import FrameStack
from timbrel.models.decoders import NOISE_PERIOD_FRAMES, TINY, level, whisper
from timbrel.models.excitation import Excitation
from timbrel.models.noise import PositionalNoise

_OCTAVE_CENTRE_HZ, _OCTAVES = 200.0, 3.0  # brings log f0 to about -1...1


class HarmonicDecoder(nn.Module):
    """Residual blocks at frame rate, then an inverse STFT of three parts that add up.

    - harmonic: the spectrum of a flat harmonic tone at f0 (`Excitation`), times a learned envelope
      and the confidence in f0: its pitch is right whatever has been learned;
    - free: learned magnitudes and phases, times what is missing of the confidence: strokes, chords
      and whatever else has no fundamental. Beside a sure f0 it is silent, for a learned phase that
      does not advance pulls every note to a multiple of the frame rate;
    - noise of a learned level (Serra & Smith 1990).

    A source and a filter, as in DDSP (Engel et al. 2020); differs: the envelope is one value per
    bin and frame, and the free part plays what has no f0. The blocks see both tracks.
    """

    window: Float[Tensor, " window"]
    conditions = ("f0_hz", "confidence")

    def __init__(
        self,
        *,
        channels: int,
        latent_dim: int,
        clip_dim: int,
        sample_rate_hz: int,
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
        self.project = nn.Linear(latent_dim + clip_dim + len(self.conditions), width)
        self.stack = FrameStack(
            width=width,
            blocks=blocks,
            kernel_frames=kernel_frames,
            expansion=expansion,
            dropout=dropout,
        )
        self.excitation = Excitation(sample_rate_hz=sample_rate_hz, hop_samples=hop_samples)
        self.envelope = whisper(width, channels * self.bins)
        self.magnitude = whisper(width, channels * self.bins)
        self.direction = nn.Linear(width, 2 * channels * self.bins)
        self.noise = whisper(width, channels * self.bins)
        self.white = PositionalNoise(channels * self.bins, period_frames=NOISE_PERIOD_FRAMES)
        reach_samples = (window_samples - hop_samples) // 2
        # The excitation under a window is known from one frame beyond it on.
        reach_frames = 2 * math.ceil(reach_samples / hop_samples) + 1
        self.context_frames = max(
            self.stack.context_frames + math.ceil(reach_samples / hop_samples), reach_frames
        )

    def forward(self, latent: Latent) -> Float[Tensor, "batch channel time"]:
        given = latent.conditions
        assert given.f0_hz is not None  # the autoencoder has checked them
        assert given.confidence is not None
        n_batch, _, n_frames = latent.frames.shape
        clip = latent.clip[:, :, None].expand(-1, -1, n_frames)
        sure = given.confidence[..., None]
        octaves = (given.f0_hz / _OCTAVE_CENTRE_HZ).log2()[..., None] / _OCTAVES
        code = torch.cat([latent.frames, clip], dim=1).transpose(1, 2)
        features = self.stack(self.project(torch.cat([code, sure * octaves, sure], dim=2)))
        with torch.autocast(features.device.type, enabled=False):  # exp and FFT want fp32
            full_scale = self.window.sum() / 2
            tone = self.excitation(given.f0_hz, given.first_cycle)
            tone = stft(tone, self.window, self.hop_samples).transpose(1, 2) / full_scale
            tone = tone.repeat(1, 1, self.channels)
            real, imaginary = self.direction(features).float().chunk(2, dim=-1)
            length = (real.square() + imaginary.square() + TINY).rsqrt()
            free = level(self.magnitude(features)) * (1 - sure) * length
            noise = torch.view_as_complex(self.white(n_frames, given.first_frame))
            spectrum = full_scale * (
                level(self.envelope(features)) * sure * tone
                + torch.complex(free * real, free * imaginary)
                + level(self.noise(features)) * noise
            )
            spectrum = spectrum.unflatten(2, (self.channels, self.bins))
            spectrum = spectrum.permute(0, 2, 3, 1).flatten(0, 1)
            audio = istft(spectrum, self.window, self.hop_samples)
        return audio.view(n_batch, self.channels, -1)
