"""Test signals with known physics. All float32, shape (time,), peak `amplitude`."""

import numpy as np
from numpy.typing import NDArray

Signal = NDArray[np.float32]


def sine(
    frequency_hz: float, duration_s: float, *, rate_hz: int = 48_000, amplitude: float = 0.5
) -> Signal:
    """A sine starting at phase 0."""
    time_s = np.arange(round(duration_s * rate_hz)) / rate_hz
    return (amplitude * np.sin(2 * np.pi * frequency_hz * time_s)).astype(np.float32)


def chirp(
    start_hz: float,
    stop_hz: float,
    duration_s: float,
    *,
    rate_hz: int = 48_000,
    amplitude: float = 0.5,
) -> Signal:
    """A linear chirp from `start_hz` to `stop_hz`."""
    time_s = np.arange(round(duration_s * rate_hz)) / rate_hz
    sweep_hz = start_hz + (stop_hz - start_hz) * time_s / (2 * duration_s)
    return (amplitude * np.sin(2 * np.pi * sweep_hz * time_s)).astype(np.float32)


def impulse(
    duration_s: float, *, at_s: float = 0.0, rate_hz: int = 48_000, amplitude: float = 0.5
) -> Signal:
    """A single non-zero sample."""
    signal = np.zeros(round(duration_s * rate_hz), np.float32)
    signal[round(at_s * rate_hz)] = amplitude
    return signal


def noise(
    duration_s: float, *, seed: int = 0, rate_hz: int = 48_000, amplitude: float = 0.5
) -> Signal:
    """White noise, uniform in -amplitude...amplitude."""
    rng = np.random.default_rng(seed)
    return rng.uniform(-amplitude, amplitude, round(duration_s * rate_hz)).astype(np.float32)
