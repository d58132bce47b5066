"""Mel filterbank on the Slaney scale (linear below 1 kHz, logarithmic above), area-normalised."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

_BREAK_HZ = 1000.0
_BREAK_MEL = 15.0
_HZ_PER_MEL = _BREAK_HZ / _BREAK_MEL
_LOG_STEP = math.log(6.4) / 27.0


def hz_to_mel(frequency_hz: ArrayLike) -> NDArray[np.float64]:
    """Slaney's mel scale (Auditory Toolbox, 1998).

    >>> float(hz_to_mel(1000.0))
    15.0
    """
    hz = np.asarray(frequency_hz, dtype=np.float64)
    log_part = _BREAK_MEL + np.log(np.maximum(hz, _BREAK_HZ) / _BREAK_HZ) / _LOG_STEP
    return np.where(hz < _BREAK_HZ, hz / _HZ_PER_MEL, log_part)


def mel_to_hz(mel: ArrayLike) -> NDArray[np.float64]:
    """Inverse of `hz_to_mel`."""
    value = np.asarray(mel, dtype=np.float64)
    log_part = _BREAK_HZ * np.exp(_LOG_STEP * (np.maximum(value, _BREAK_MEL) - _BREAK_MEL))
    return np.where(value < _BREAK_MEL, value * _HZ_PER_MEL, log_part)


def mel_filterbank(rate_hz: int, n_fft: int, n_mels: int) -> NDArray[np.float32]:
    """Triangular filters of unit area over 0...rate/2: `(mel, bin)` with `n_fft // 2 + 1` bins."""
    bins_hz = np.fft.rfftfreq(n_fft, 1.0 / rate_hz)
    edges_hz = mel_to_hz(np.linspace(0.0, float(hz_to_mel(rate_hz / 2)), n_mels + 2))
    lower, centre, upper = edges_hz[:-2, None], edges_hz[1:-1, None], edges_hz[2:, None]
    rising = (bins_hz - lower) / (centre - lower)
    falling = (upper - bins_hz) / (upper - centre)
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return (triangles * 2.0 / (upper - lower)).astype(np.float32)
