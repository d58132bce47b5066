"""What harmonics, noise and free sinusoids a recording has: what their layers should say."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from timbrel.contracts import Conditions
from timbrel.dsp.additive import LOWEST_HZ
from timbrel.dsp.stft import power, stft

_HARMONICS = 64  # above them an envelope is the smooth spectrum
_SMOOTH_BINS = 9
STANDS_OUT = 1.0
"""Nepers above the smooth spectrum: a sinusoid, seldom a bin of noise."""
_UNHEARD = 2.5  # nepers below it
NOISE_GAIN = 0.5
"""Nepers that `noise` is above what is heard: overlap-add leaves less of frames drawn apart."""
_TINY = 1e-12
_RANGE, _LEAST = 7.0, -9.0  # nepers: below the loudest frame, and below full scale


class HeardParts(NamedTuple):
    """Log magnitudes, 0 for a full-scale sine, and how much frames count.

    Of all, of their `smooth` course, and of three parts.
    """

    spectrum: Float[Tensor, "batch frame channel bin"]
    smooth: Float[Tensor, "batch frame channel bin"]
    harmonic: Float[Tensor, "batch frame channel bin"]
    free: Float[Tensor, "batch frame channel bin"]
    noise: Float[Tensor, "batch frame channel bin"]
    sounding: Float[Tensor, "batch frame"]
    voiced: Float[Tensor, "batch frame"]


def spectrum_power(
    audio: Float[Tensor, "batch channel time"], window: Float[Tensor, " window"], hop_samples: int
) -> Float[Tensor, "batch frame channel bin"]:
    """Powers of all bins, 1 for a full-scale sine; `time` is whole hops."""
    spectrum = stft(audio, window, hop_samples) / (window.sum() / 2)
    return power(spectrum).permute(0, 3, 1, 2)


def sounding(
    powers: Float[Tensor, "batch frame channel bin"],
) -> tuple[Float[Tensor, "batch frame"], Float[Tensor, "batch frame"]]:
    """Log levels of frames, in nepers, and 1 for those that sound, 0 for the others.

    A frame sounds within 60 dB of the loudest and above -78 dB.
    """
    level = 0.5 * powers.sum((2, 3)).clamp_min(_TINY).log()
    loud = (level > level.amax(1, keepdim=True) - _RANGE) & (level > _LEAST)
    return level, loud.to(level)


def heard_parts(
    powers: Float[Tensor, "batch frame channel bin"], given: Conditions, bin_hz: float
) -> HeardParts:
    """The parts of `powers` (`spectrum_power`) where the tracks say an f0.

    - harmonic: straight lines (of the logarithm) from each harmonic's peak to the next, less the
      noise, which has peaks as well;
    - noise: where f0 is certain such lines between the middles between harmonics, elsewhere the
      smooth spectrum;
    - free: where nothing is certain, what stands out from the smooth spectrum.
    """
    assert given.f0_hz is not None
    assert given.confidence is not None
    log_magnitude = 0.5 * powers.clamp_min(_TINY).log()
    smooth = smoothed(log_magnitude, _SMOOTH_BINS)
    n_bins = powers.shape[3]
    f0 = given.f0_hz.clamp_min(LOWEST_HZ)[:, :, None, None]
    sure = given.confidence[:, :, None, None]
    number = torch.arange(1, _HARMONICS + 1, device=powers.device)

    def at(multiple: Tensor) -> Tensor:
        """The bins next to multiples of f0, for every channel."""
        bins = (multiple * f0 / bin_hz).round().long().clamp(1, n_bins - 2)
        return bins.expand(-1, -1, powers.shape[2], -1)

    peaks = torch.stack([log_magnitude.gather(3, at(number) + step) for step in (-1, 0, 1)]).amax(0)
    valleys = log_magnitude.gather(3, at(number - 0.5))
    hz = torch.arange(n_bins, device=powers.device) * bin_hz
    beyond = hz > _HARMONICS * f0
    harmonic = torch.where(beyond, smooth, _between(peaks, hz / f0))
    noise = torch.where(beyond, smooth, _between(valleys, hz / f0 + 0.5))
    stands_out = (log_magnitude > smooth + STANDS_OUT) & (sure < 0.5)
    _, loud = sounding(powers)
    noise = torch.lerp(smooth, noise, sure) + NOISE_GAIN
    left = (2 * harmonic).exp() - (2 * noise).exp()
    return HeardParts(
        log_magnitude,
        smooth,
        0.5 * torch.maximum(left, (2 * (noise - _UNHEARD)).exp()).log(),
        torch.where(stands_out, log_magnitude, smooth - _UNHEARD),
        noise,
        loud,
        loud * given.confidence,
    )


def smoothed(values: Float[Tensor, "*shape bin"], n_bins: int) -> Float[Tensor, "*shape bin"]:
    """Moving averages over `n_bins` bins, an odd number; the outermost bins go on."""
    rows = values.flatten(0, -2)[:, None]
    rows = nn.functional.pad(rows, (n_bins // 2, n_bins // 2), mode="replicate")
    return nn.functional.avg_pool1d(rows, n_bins, 1).view(values.shape)


def _between(
    values: Float[Tensor, "batch frame channel number"], place: Float[Tensor, "batch frame 1 bin"]
) -> Float[Tensor, "batch frame channel bin"]:
    """Straight lines from each of `values` to the next, at places counted from 1."""
    last = values.shape[3]
    place = place.clamp(1, last).expand(-1, -1, values.shape[2], -1)
    left = place.floor().long().clamp(1, last - 1)
    return torch.lerp(values.gather(3, left - 1), values.gather(3, left), place - left)
