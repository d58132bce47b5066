"""What brings decoded frames to a measured level: outside training, by formula."""

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from timbrel.audio.level import k_weighting
from timbrel.dsp.stft import power, stft

SILENT_DB = -120.0
NEPERS_PER_DB = math.log(10) / 20
_LEAST_POWER = 1e-16
_PEAK_BINS = 5  # the main lobe of a window
_PEAK_SHARE = 0.1  # what lies 5 dB below the loudest bins takes half the lift
_LEAST_LIFT = -0.7  # what is then still too loud, all bins are lowered by


class LevelCorrection(nn.Module):
    """Brings frames to the K-weighted level that is asked for (that of `attributes.spectrum`).

    Powers of bins are `(batch, frame, channel * bin)`; those of channels are added.
    """

    window: Float[Tensor, " window"]
    heard: Float[Tensor, " bin"]

    def __init__(
        self, *, channels: int, sample_rate_hz: int, window: Tensor, hop_samples: int
    ) -> None:
        super().__init__()
        self.channels = channels
        self.hop_samples = hop_samples
        self.register_buffer("window", window, persistent=False)
        heard = _heard(sample_rate_hz, window) / channels
        self.register_buffer("heard", heard, persistent=False)

    def lift(
        self, power: Float[Tensor, "batch frame bin"], loudness_db: Float[Tensor, "batch frame"]
    ) -> Float[Tensor, "batch frame bin"]:
        """What brings every frame towards its level by its loudest bins; the others stay.

        A level is that of a few bins. With one factor for all of them, whatever is missing at a
        peak would be made up for by noise everywhere else.
        """
        power = power * self.heard.repeat(self.channels)
        around = nn.functional.pad(power, (_PEAK_BINS // 2, _PEAK_BINS // 2))
        smooth = torch.zeros_like(power)  # avg_pool1d takes eight times as long
        for place in range(_PEAK_BINS):
            smooth.add_(around[..., place : place + power.shape[2]], alpha=1 / _PEAK_BINS)
        ratio = (smooth / (smooth.amax(2, keepdim=True) + _LEAST_POWER)).square()
        share = ratio / (ratio + _PEAK_SHARE)
        # The x with sum(power * (1 + x * share)^2) = wanted.
        weighed = power * share
        missing = _power_of(loudness_db) - power.sum(2)
        linear = weighed.sum(2) + _LEAST_POWER
        square = linear.square() + (weighed * share).sum(2) * missing
        x = missing / (linear + square.clamp_min(0.0).sqrt())
        return 1 + x.clamp_min(_LEAST_LIFT)[..., None] * share

    def gain(
        self, audio: Float[Tensor, "batch channel time"], loudness_db: Float[Tensor, "batch frame"]
    ) -> Float[Tensor, "batch 1 time"]:
        """What brings every frame to its level, in straight lines between their middles."""
        found = self.heard @ power(stft(audio, self.window, self.hop_samples)).sum(1)
        gain = (_power_of(loudness_db) / (found + _LEAST_POWER)).sqrt()
        return nn.functional.interpolate(
            gain[:, None], scale_factor=float(self.hop_samples), mode="linear"
        )


def nepers_of(loudness_db: Float[Tensor, "batch frame"]) -> Float[Tensor, "batch frame 1"]:
    """A track of levels as magnitudes follow it."""
    return NEPERS_PER_DB * loudness_db.clamp_min(SILENT_DB)[..., None]


def _power_of(loudness_db: Tensor) -> Tensor:
    """The mean square that a track of levels asks for; 0 where it is silent."""
    return torch.where(loudness_db > SILENT_DB, 10 ** (loudness_db / 10), 0.0)


def _heard(sample_rate_hz: int, window: Float[Tensor, " window"]) -> Float[Tensor, " bin"]:
    """What a bin's squared magnitude adds to the K-weighted mean square of one channel."""
    samples = len(window)
    one_sided = np.full(samples // 2 + 1, 2.0)
    one_sided[[0, -1]] = 1.0
    bins_hz = np.fft.rfftfreq(samples, 1 / sample_rate_hz).astype(np.float64)
    weights = one_sided * k_weighting(bins_hz, sample_rate_hz)
    return torch.from_numpy(weights).float() / (samples * window.square().sum())
