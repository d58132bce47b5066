"""Noise for the demo set's sounds: resonances under a slope whose centroid is solved for."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfftfreq

Array = NDArray[np.float64]

PARTIAL_LIMIT = 0.45  # highest frequency, as a share of the sample rate


def shaped_noise(
    rng: np.random.Generator,
    model: str,
    f0_hz: float,
    centroid_hz: float,
    n_samples: int,
    sample_rate_hz: int,
) -> Array:
    """Stationary noise `(2, time)`: the model's resonances under a slope with that centroid (Hz).

    Mid and side are independent, each of the spectrum that `model` has at `f0_hz`; the mid has
    root mean square 1.
    """
    size = next_fast_len(n_samples, real=True)
    frequency_hz = rfftfreq(size, 1 / sample_rate_hz)
    spectrum = rng.standard_normal((2, len(frequency_hz), 2)).view(np.complex128)[..., 0]
    spectrum *= _resonances(model, frequency_hz, f0_hz, centroid_hz, sample_rate_hz)

    edges = np.unique(np.geomspace(1, len(frequency_hz) - 1, 300).astype(int))
    power = np.add.reduceat(np.abs(spectrum[0]) ** 2, edges)
    moment = np.add.reduceat(np.abs(spectrum[0]) ** 2 * frequency_hz, edges)
    centre_hz = moment / np.maximum(power, np.finfo(float).tiny)

    def centroid(tilt: float) -> float:
        slope = _slope(centre_hz, tilt, sample_rate_hz) ** 2
        return float(np.sum(slope * moment) / np.sum(slope * power))

    tilt = bisect(centroid, centroid_hz, np.log(20.0 / sample_rate_hz), 4.0)
    spectrum *= _slope(frequency_hz, tilt, sample_rate_hz)
    shaped = irfft(spectrum, size)[:, :n_samples]
    return shaped / np.sqrt(np.mean(shaped[0] ** 2))


def _slope(frequency_hz: Array, tilt: float, sample_rate_hz: int) -> Array:
    """An amplitude response, the brighter the greater `tilt`.

    Below 1 it is a low pass whose corner is at exp(tilt) of the rate, above 1 a rising power.
    """
    relative = frequency_hz / sample_rate_hz
    falling = 1 / (1 + (relative / np.exp(min(tilt, 1.0))) ** 2)
    return falling * relative ** max(tilt - 1.0, 0.0)


def _resonances(
    model: str, frequency_hz: Array, f0_hz: float, centroid_hz: float, sample_rate_hz: int
) -> Array:
    """The amplitude response of the model's body, without its slope; nothing above the limit."""
    low_hz = {"breath": 0.7 * f0_hz, "wind": 0.5 * f0_hz, "shaker": 0.5 * centroid_hz}.get(
        model, min(40.0, 0.3 * centroid_hz)
    )
    steep = (frequency_hz / low_hz) ** 4
    response = steep / (1 + steep)
    if model in ("breath", "wind"):
        ratios, q = (range(1, 9), 14.0) if model == "breath" else ((1.0, 2.3, 4.1), 9.0)
        peaks = np.zeros_like(frequency_hz)
        for ratio in ratios:
            detuning = 2 * q * (frequency_hz / (ratio * f0_hz) - 1)
            peaks += 1 / np.sqrt(ratio) / np.sqrt(1 + detuning**2)
        response *= 0.06 + peaks
    edge = np.clip((PARTIAL_LIMIT - frequency_hz / sample_rate_hz) / 0.02, 0, 1)
    return response * np.sin(np.pi / 2 * edge) ** 2


def grains(rng: np.random.Generator, n_samples: int, sample_rate_hz: int) -> Array:
    """The level of beans in a gourd: exponential grains at random times, of mean square 1."""
    grain = np.exp(-np.arange(round(0.03 * sample_rate_hz)) / (0.006 * sample_rate_hz))
    onset = round(0.001 * sample_rate_hz)  # beans are not so hard that they would click
    grain[:onset] *= np.sin(np.pi / 2 * np.arange(onset) / onset) ** 2
    level = np.zeros(n_samples + 2 * len(grain))
    # Some begin before the sound, so that its start is as dense as the rest.
    starts = rng.integers(
        0, n_samples + len(grain), rng.poisson(220 * n_samples / sample_rate_hz) + 1
    )
    for start, amplitude in zip(starts, rng.lognormal(0.0, 0.5, len(starts)), strict=True):
        level[start : start + len(grain)] += amplitude * grain
    level = 0.1 * level.mean() + level[len(grain) :][:n_samples]
    return level / np.sqrt(np.mean(level**2))


def bisect(rising: Callable[[float], float], wanted: float, low: float, high: float) -> float:
    """Where a rising function is `wanted`, or the nearer end."""
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < wanted else (low, middle)
    return (low + high) / 2
