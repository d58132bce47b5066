"""Ringing: does noise come out as noise, or as many steady tones?

Task: a sinusoid near every bin can match the magnitudes of noise better than other noise can, and
spectral distances prefer it; it sounds like metal. The long-term spectrum of noise is smooth, that
of steady tones has lines with valleys between them. So within bands in which the recording's
spectrum is smooth the roughness of both is compared.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter
from scipy.signal import welch

from timbrel.metrics.lengths import of_length

Signal = NDArray[np.float32]
Values = NDArray[np.float64]

_WINDOW_S = 8192 / 48_000
_LEAST_WINDOWS = 4  # so many windows side by side tell noise from tones
_AROUND_HZ = 240.0  # the running median: lines may lie up to half of that apart
_BAND_OCTAVES = 1 / 3
_RANGE_HZ = (200.0, 10_000.0)
_SMOOTH_DB = 3.5
_HEARD = 1e-6  # bands 60 dB below the loudest are not heard
_SILENCE = 1e-12


def ringing_db(reference: Signal, reconstruction: Signal, *, rate_hz: int) -> float | None:
    """How much rougher the spectrum is than the reference's where that is smooth, in dB.

    Signals are `(channel, time)`; the reconstruction is cut or zero-padded to the reference. The
    roughness of a third of an octave is the standard deviation of the level of its bins around
    their running median, in spectra of 171 ms windows averaged over the sound (Welch 1967). A band
    of the reference is smooth up to 3.5 dB. The result is the mean of the differences over smooth
    bands, weighted by the reference's amplitude, and never below 0. None where no band is smooth,
    where either is silent, or below 0.68 s.
    """
    n = reference.shape[1]
    window = round(_WINDOW_S * rate_hz)
    if n < _LEAST_WINDOWS * window:
        return None
    given = of_length(reconstruction, n)
    hz, wanted = _density(reference, rate_hz, window)
    _, found = _density(given, rate_hz, window)
    if not (wanted.sum() > _SILENCE and found.sum() > _SILENCE):
        return None
    low, high = _RANGE_HZ[0], min(_RANGE_HZ[1], 0.45 * rate_hz)
    edges = low * 2 ** np.arange(0, np.log2(high / low), _BAND_OCTAVES)
    index = np.digitize(hz, [*edges, high])
    bands = [index == i for i in range(1, len(edges) + 1)]
    power = np.array([wanted[band].sum() for band in bands])
    rough, made = (
        np.array([residual[band].std() for band in bands])
        for residual in (_residual_db(x, hz) for x in (wanted, found))
    )
    smooth = (rough <= _SMOOTH_DB) & (power >= _HEARD * power.max())
    if not smooth.any():
        return None
    weight = np.sqrt(power[smooth])
    return max(0.0, float((weight * (made - rough)[smooth]).sum() / weight.sum()))


def _density(audio: Signal, rate_hz: int, window: int) -> tuple[Values, Values]:
    hz, density = welch(
        audio.astype(np.float64), rate_hz, nperseg=window, noverlap=3 * window // 4, axis=-1
    )
    return hz, density.sum(0)


def _residual_db(density: Values, hz: Values) -> Values:
    """The level of every bin beside the median of those around it."""
    level = 10 * np.log10(density + 1e-30)
    around = median_filter(level, size=max(3, round(_AROUND_HZ / (hz[1] - hz[0]))))
    return np.asarray(level - around, np.float64)
