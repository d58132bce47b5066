"""Lines at the frame rate: does a reconstruction hum where its reference does not?

Task: a decoder whose frames all have the same phases is periodic at its frame rate, and what should
be a note or a chord becomes lines at multiples of that rate. Around each multiple the power at it
is compared with the power between the multiples, in the reconstruction and in the reference.

A partial of the reference may lie on a multiple; so what counts is how much more a multiple stands
out in the reconstruction.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.signal import welch

from timbrel.metrics.lengths import of_length

Signal = NDArray[np.float32]

_PERIODS, _LEAST_PERIODS = 32, 12  # of the frame rate, in the window of a spectrum
_LOBE_BINS = 2  # half of a Hann window's main lobe
_TOP_HZ = 6000.0
_RANGE = 1e-6  # bands 60 dB below the loudest are not heard
_SILENCE = 1e-12


def frame_rate_lines_db(
    reference: Signal, reconstruction: Signal, *, rate_hz: int, frame_rate_hz: float
) -> float | None:
    """How far lines at multiples of `frame_rate_hz` stand out beyond the reference's, in dB.

    Signals are `(channel, time)`; the reconstruction is cut or zero-padded to the reference. A line
    stands out by its power over the mean power of its band, half a frame rate to either side; below
    the mean it counts as 0. The result is the mean of the differences over bands up to 6 kHz,
    weighted by the reconstruction's amplitude in each, and never below 0. None where either is
    silent, or where the sound is too short to tell lines from what lies between them: below twelve
    periods of the frame rate.

    Raises:
        ValueError: the frame rate is not above 0.
    """
    if frame_rate_hz <= 0:
        raise ValueError(f"a frame rate of {frame_rate_hz} Hz; above 0")
    n = reference.shape[1]
    given = of_length(reconstruction, n)
    if n < _LEAST_PERIODS * rate_hz / frame_rate_hz:
        return None
    window = min(n, round(_PERIODS * rate_hz / frame_rate_hz))
    wanted_line, _ = _prominence_db(reference, window, rate_hz, frame_rate_hz)
    given_line, weight = _prominence_db(given, window, rate_hz, frame_rate_hz)
    if not weight.sum() > _SILENCE or not np.square(reference).mean() > _SILENCE:
        return None
    weight = np.sqrt(np.where(weight >= _RANGE * weight.max(), weight, 0.0))
    more = np.maximum(given_line, 0.0) - np.maximum(wanted_line, 0.0)
    return max(0.0, float((weight * more).sum() / weight.sum()))


def _prominence_db(
    audio: Signal, window: int, rate_hz: int, frame_rate_hz: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Per multiple of the frame rate: how far it stands out, and the power of its band."""
    hz, density = welch(audio.astype(np.float64), rate_hz, nperseg=window, axis=-1)
    power = density.sum(0)
    lobe_hz = _LOBE_BINS * rate_hz / window
    top_hz = min(_TOP_HZ, hz[-1] - frame_rate_hz)
    bands = []
    for line_hz in np.arange(frame_rate_hz, top_hz, frame_rate_hz):
        distance = np.abs(hz - line_hz)
        at = power[distance <= lobe_hz / 2].mean()
        band = power[distance <= frame_rate_hz / 2]
        bands.append((10 * np.log10((at + 1e-30) / (band.mean() + 1e-30)), band.sum()))
    prominence, weight = np.array(bands).reshape(-1, 2).T
    return prominence, weight
