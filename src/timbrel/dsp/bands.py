"""Levels of bands, and noise that has them."""

import numpy as np
import torch
from jaxtyping import Complex, Float
from numpy.typing import NDArray
from torch import Tensor

from timbrel.dsp.mel import hz_to_mel, mel_to_hz
from timbrel.dsp.stft import overlap_add


def band_centres_hz(bands: int, rate_hz: int) -> NDArray[np.float64]:
    """From 0 to rate / 2, at equal steps of the mel scale.

    >>> band_centres_hz(3, 2000).round(6).tolist()
    [0.0, 500.0, 1000.0]
    """
    return mel_to_hz(np.linspace(0.0, float(hz_to_mel(rate_hz / 2)), bands))


def band_shares(bands: int, bins: int, rate_hz: int) -> Float[Tensor, "band bin"]:
    """What brings values of bands to bins of a spectrum: straight lines between the centres."""
    bins_hz = np.linspace(0.0, rate_hz / 2, bins)
    centres_hz = band_centres_hz(bands, rate_hz)
    shares = [np.interp(bins_hz, centres_hz, row) for row in np.eye(bands)]
    return torch.from_numpy(np.stack(shares)).float()


def sine_window(window_samples: int) -> Float[Tensor, " window"]:
    """Half a period of a sine; at a hop of half of it the squares add up to 1."""
    return torch.sin(torch.pi * (torch.arange(window_samples) + 0.5) / window_samples)


def shaped_noise(
    white: Complex[Tensor, "batch frame bin"],
    level: Float[Tensor, "batch frame bin"],
    hop_samples: int,
) -> Float[Tensor, "batch time"]:
    """Noise of `frame * hop_samples` samples, of mean square 1 where every level is 1.

    `white` is complex noise of unit power, and `bin` is `hop_samples + 1`. Sine windows of two hops
    add up: the power is the same between frames as in their middles. The sound fades in and out
    over half a hop.
    """
    n_window = 2 * hop_samples
    window = sine_window(n_window).to(level)
    # 0 and half the rate have no imaginary part, and so half the power of the other bins.
    frames = torch.fft.irfft(white * level, n=n_window, dim=2, norm="ortho") * window
    edge = hop_samples // 2
    return overlap_add(frames, hop_samples)[:, edge : edge + level.shape[1] * hop_samples]
