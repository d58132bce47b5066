"""Noise drawn by position in the sound, so that a stream has the same noise as the whole file."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from timbrel.dsp.bands import band_centres_hz, band_shares, shaped_noise
from timbrel.dsp.stft import hann, istft
from timbrel.models.convolutions import Features
from timbrel.randomness import torch_generator

_LOG_LEVEL_START = math.log(1e-4)
_LOG_LEVEL_MAX = math.log(4.0)
_MEAN_OF_LOG = 0.5 * 0.5772  # what a mean of log powers of noise is below the log of their mean
_PERIOD_FRAMES = 8192


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


class FilteredNoise(nn.Module):
    """Noise whose short-time spectrum is read from features: the stochastic part of a sound.

    Serra & Smith 1990; Engel et al. 2020, "DDSP", section 3.5. Differs: an inverse STFT of four
    overlapping windows instead of FIR filters, and noise drawn by position. One frame of features
    is `hop_samples` of audio.
    """

    window: Float[Tensor, " window"]

    def __init__(self, width: int, *, channels: int, hop_samples: int) -> None:
        super().__init__()
        self.channels = channels
        self.hop_samples = hop_samples
        self.register_buffer("window", hann(4 * hop_samples), persistent=False)
        self.reach_samples = (3 * hop_samples + 1) // 2
        bins = 2 * hop_samples + 1
        self.log_level = nn.Conv2d(width, channels * bins, 1)
        with torch.no_grad():
            self.log_level.bias.fill_(_LOG_LEVEL_START)  # type: ignore[union-attr]
        self.white = PositionalNoise(channels * bins, period_frames=_PERIOD_FRAMES)

    def forward(
        self, x: Features, first_frame: Int[Tensor, " batch"] | None
    ) -> Float[Tensor, "batch channel time"]:
        log_level = self.log_level(x).squeeze(2)
        with torch.autocast(x.device.type, enabled=False):  # exp and FFT want fp32
            level = torch.exp(log_level.float().clamp_max(_LOG_LEVEL_MAX)) * (self.window.sum() / 2)
            white = torch.view_as_complex(self.white(x.shape[3], first_frame)).transpose(1, 2)
            spectrum = (white * level).unflatten(1, (self.channels, -1)).flatten(0, 1)
            audio = istft(spectrum, self.window, self.hop_samples)
        return audio.unflatten(0, (-1, self.channels))


class BandNoise(nn.Module):
    """Noise with a level per frame and band, drawn by position.

    `bins(log_level)` joins log levels (nepers) of bands by straight lines (`dsp.bands`); of these
    `forward` makes `(batch, channel, frame * hop)`. All 0 is white noise of mean square 1.
    """

    shares: Float[Tensor, "band bin"]
    centres_hz: Float[Tensor, " band"]
    bins_hz: Float[Tensor, " bin"]

    def __init__(
        self,
        *,
        channels: int,
        bands: int,
        sample_rate_hz: int,
        hop_samples: int,
        period_frames: int,
    ) -> None:
        super().__init__()
        self.hop_samples = hop_samples
        bins = hop_samples + 1
        self.register_buffer("shares", band_shares(bands, bins, sample_rate_hz), persistent=False)
        bins_hz = torch.linspace(0.0, sample_rate_hz / 2, bins)
        self.register_buffer("bins_hz", bins_hz, persistent=False)
        centres_hz = torch.from_numpy(band_centres_hz(bands, sample_rate_hz)).float()
        self.register_buffer("centres_hz", centres_hz, persistent=False)
        self.white = PositionalNoise(channels * bins, period_frames=period_frames)

    def levels_for(
        self,
        log_magnitude: Float[Tensor, "*shape bin"],
        window: Float[Tensor, " window"],
    ) -> Float[Tensor, "*shape band"]:
        """What bands should say for means of log magnitudes, taken with `window`.

        These are 0 for a full-scale sine.
        """
        bin_hz = float(self.bins_hz[-1]) / (log_magnitude.shape[-1] - 1)
        of_white = 4 * window.square().sum() / window.sum().square()
        places = (self.centres_hz / bin_hz).round().long()
        return log_magnitude[..., places] + _MEAN_OF_LOG - 0.5 * of_white.log()

    def bins(
        self, log_level: Float[Tensor, "batch channel frame band"]
    ) -> Float[Tensor, "batch channel frame bin"]:
        """Log levels of the bins of a spectrum, at `bins_hz`."""
        return (log_level @ self.shares).clamp_max(_LOG_LEVEL_MAX)

    def forward(
        self,
        log_level: Float[Tensor, "batch channel frame bin"],
        first_frame: Int[Tensor, " batch"] | None,
    ) -> Float[Tensor, "batch channel time"]:
        n_batch, channels, n_frames, _ = log_level.shape
        white = torch.view_as_complex(self.white(n_frames, first_frame))
        white = white.unflatten(2, (channels, -1)).transpose(1, 2).expand(n_batch, -1, -1, -1)
        level = torch.exp(log_level)
        audio = shaped_noise(white.flatten(0, 1), level.flatten(0, 1), self.hop_samples)
        return audio.unflatten(0, (n_batch, channels))
