"""The balance of partials: does a reconstruction have the timbre of its reference?

Task: a clarinet's even harmonics lie 30 dB below the odd ones, a skin has hardly any but the
lowest. A model that gives every note the average spectrum of all instruments loses that, and
distances of spectra hardly tell: they compare a thousand bins, of which partials are few.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.fft import rfft

from timbrel.attributes.frames import framed
from timbrel.attributes.pitch import PitchTrack
from timbrel.metrics.lengths import of_length

Signal = NDArray[np.float32]
Values = NDArray[np.float64]

_PARTIALS = 12
_WINDOW_S = 4096 / 48_000
_LOBE_BINS = 2  # half of a Hann window's main lobe
_OFF = 2 ** (0.5 / 12) - 1  # half a semitone: how well a note is in tune has scores of its own
_HIGHEST = 0.45  # of the rate
_HEARD_DB = 60.0
_MOST_FRAMES = 200
_SILENCE = 1e-12


def partials_error_db(
    reference: Signal, reconstruction: Signal, pitch: PitchTrack, *, rate_hz: int
) -> float | None:
    """How far the levels of the first twelve partials are off beside the loudest of them, in dB.

    Signals are `(channel, time)`; the reconstruction is cut or zero-padded to the reference, whose
    f0 is `pitch`. The level of a partial is the highest power within half a semitone of its
    multiple of f0, in 85 ms, over that of the loudest partial; 60 dB below it and less count alike.
    The result is the mean over partials, and over up to 200 voiced frames, weighted by the
    reference's amplitude. None where no frame is voiced or the reference is silent.
    """
    voiced = np.flatnonzero(pitch.voiced)
    if not len(voiced):
        return None
    some = voiced[np.linspace(0, len(voiced) - 1, min(len(voiced), _MOST_FRAMES)).astype(np.intp)]
    given = of_length(reconstruction, reference.shape[1])
    f0_hz = pitch.f0_hz[some]
    wanted, power = _levels_db(reference, some, f0_hz, rate_hz)
    found, _ = _levels_db(given, some, f0_hz, rate_hz)
    weight = np.sqrt(power)
    if not weight.sum() > _SILENCE:
        return None
    return float(np.average(np.nanmean(np.abs(found - wanted), axis=1), weights=weight))


def _levels_db(
    audio: Signal, frames: NDArray[np.intp], f0_hz: Values, rate_hz: int
) -> tuple[Values, Values]:
    """Levels of partials beside the loudest, `(frame, partial)`, and its power, `(frame)`.

    nan above the band.
    """
    window = round(_WINDOW_S * rate_hz)
    spectra, first = [], 0
    for block in framed(audio, rate_hz, window):
        inside = frames[(frames >= first) & (frames < first + block.shape[1])] - first
        spectrum = rfft(block[:, inside] * np.hanning(window), 2 * window)
        spectra.append(np.square(np.abs(spectrum) / (window / 4)).sum(0))
        first += block.shape[1]
    bin_hz = rate_hz / (2 * window)  # twice as dense as the window's own: peaks are read to 0.4 dB
    centre_hz = f0_hz[:, None] * np.arange(1, _PARTIALS + 1)
    reach = np.maximum(2 * _LOBE_BINS, _OFF * centre_hz / bin_hz)
    low = np.ceil(centre_hz / bin_hz - reach).clip(0).astype(np.intp)
    high = np.floor(centre_hz / bin_hz + reach).astype(np.intp) + 1
    power = np.full(centre_hz.shape, np.nan)
    for row, square in enumerate(np.concatenate(spectra)):
        for index in np.flatnonzero(centre_hz[row] <= _HIGHEST * rate_hz):
            power[row, index] = square[low[row, index] : high[row, index]].max()
    loudest = np.nanmax(power, axis=1)
    level = power / np.maximum(loudest, _SILENCE)[:, None]
    return 10 * np.log10(np.maximum(level, 10 ** (-_HEARD_DB / 10))), loudest
