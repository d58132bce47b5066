"""Sounds whose attributes follow from how they are made."""

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 48_000


def seconds(duration_s: float, rate_hz: int = RATE_HZ) -> NDArray[np.float64]:
    return np.arange(round(duration_s * rate_hz)) / rate_hz


def tone(
    f0_hz: float,
    duration_s: float,
    *,
    partials: int = 15,
    stiffness: float = 0.0,
    rate_hz: int = RATE_HZ,
) -> NDArray[np.float32]:
    """Partials `n f0 sqrt(1 + B n^2)` of amplitude 1/n, none above 0.45 of the rate."""
    time_s = seconds(duration_s, rate_hz)
    total = np.zeros(len(time_s))
    for n in range(1, partials + 1):
        hz = n * f0_hz * np.sqrt(1 + stiffness * n * n)
        if hz < 0.45 * rate_hz:
            total += np.sin(2 * np.pi * hz * time_s + n * n) / n
    return (0.2 * total).astype(np.float32)


def gaussian(duration_s: float, *, seed: int = 0, rms: float = 0.1) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return (rms * rng.standard_normal(round(duration_s * RATE_HZ))).astype(np.float32)
