"""Shape of the short-time power spectrum: centroid, roll-off, flatness, and levels.

Spectra are of power, as in MPEG-7 (ISO/IEC 15938-4) and Peeters (2004), where librosa's centroid
and roll-off default to magnitudes: noise 60 dB below a sine at 440 Hz moves a centroid of
magnitudes by more than 200 Hz and one of powers by less than one. None depends on level.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from timbrel.attributes.frames import Signal, Values, framed
from timbrel.audio.level import k_weighting
from timbrel.dsp.mel import mel_filterbank

WINDOW_S = 2048 / 48_000
ROLLOFF_SHARE = 0.85
# MPEG-7's flatness ends there too. A band that a codec or another sample rate left empty would
# otherwise pull the geometric mean of all the others down.
FLATNESS_BAND_HZ = (250.0, 16_000.0)
MEL_BANDS = 40
FLOOR_DB = -200.0
_FLOOR = 1e-10  # of a frame's strongest bin


@dataclass(frozen=True)
class SpectralFrames:
    """One value per frame; `mel_db` is `(frame, band)`.

    The levels are in dBFS: unweighted, A-weighted and K-weighted (BS.1770-4).
    """

    level_db: Values
    level_a_db: Values
    level_k_db: Values
    centroid_hz: Values
    rolloff_hz: Values
    flatness: Values
    mel_db: Values


def window_of(rate_hz: int) -> int:
    """Samples per analysis window, even: 43 ms.

    >>> window_of(48_000)
    2048
    """
    return max(4, 2 * round(WINDOW_S * rate_hz / 2))


def spectral_frames(audio: Signal, rate_hz: int) -> SpectralFrames:
    """All of it from one pass. Channels are added as powers, so that antiphase is not silence."""
    samples = window_of(rate_hz)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(samples) / samples)
    bins_hz: Values = np.fft.rfftfreq(samples, 1 / rate_hz).astype(np.float64)
    one_sided = np.full(len(bins_hz), 2.0)
    one_sided[[0, -1]] = 1.0
    to_mean_square = one_sided / (samples * np.sum(window**2) * len(audio))  # of the channels' mean
    a_weights = a_weighting(bins_hz)
    k_weights = k_weighting(bins_hz, rate_hz)
    bands = mel_filterbank(rate_hz, samples, MEL_BANDS).T.astype(np.float64)
    parts: list[tuple[Values, ...]] = []
    for block in framed(audio, rate_hz, samples):
        spectra = np.fft.rfft(block * window)
        per_channel = (np.square(spectra.real) + np.square(spectra.imag)) * to_mean_square
        power = per_channel.sum(0)
        parts.append(
            (
                _db(power.sum(1)),
                _db(power @ a_weights),
                _db(power @ k_weights),
                centroid_hz(power, bins_hz),
                rolloff_hz(power, bins_hz),
                _mean_flatness(per_channel, bins_hz),
                _db(power @ bands),
            )
        )
    return SpectralFrames(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def centroid_hz(power: Values, bins_hz: Values) -> Values:
    """The mean frequency of `power`, `(frame, bin)`; 0 for silence (Peeters 2004, 6.1.1).

    >>> float(centroid_hz(np.array([[3.0, 1.0]]), np.array([100.0, 500.0]))[0])
    200.0
    """
    total = power.sum(1)
    return np.divide(power @ bins_hz, total, out=np.zeros(len(power)), where=total > 0)


def rolloff_hz(power: Values, bins_hz: Values, share: float = ROLLOFF_SHARE) -> Values:
    """The frequency below which `share` of the power lies (Tzanetakis & Cook 2002); 0 for silence.

    Linear within a bin, which reaches half a bin to either side of its frequency.
    """
    below = np.cumsum(power, axis=1)
    wanted = share * below[:, -1:]
    index = np.argmax(below >= wanted, axis=1)[:, None]
    here = np.take_along_axis(power, index, 1)
    before = np.take_along_axis(below, index, 1) - here
    part = np.divide(wanted - before, here, out=np.zeros_like(here), where=here > 0)
    spacing_hz = bins_hz[1] - bins_hz[0]
    found = np.maximum(bins_hz[index] + (part - 0.5) * spacing_hz, 0.0)
    return np.where(below[:, -1] > 0, found[:, 0], 0.0)


def flatness(
    power: Values, bins_hz: Values, band_hz: tuple[float, float] = FLATNESS_BAND_HZ
) -> Values:
    """Geometric over arithmetic mean of the power in a band, 0 to 1 (Johnston 1988); silence: 0.

    White noise gives exp(-gamma) = 0.5615, as each bin's power is exponentially distributed, and a
    sine nearly 0. Bins 100 dB below the frame's strongest count as that.
    """
    top_hz = min(band_hz[1], 0.95 * bins_hz[-1])
    inside = power[:, (bins_hz >= min(band_hz[0], top_hz / 4)) & (bins_hz <= top_hz)]
    strongest = power.max(1, keepdims=True)
    floored = np.maximum(inside, np.maximum(_FLOOR * strongest, 1e-300))
    ratio = np.exp(np.log(floored).mean(1)) / floored.mean(1)
    return np.where(strongest[:, 0] > 0, np.minimum(ratio, 1.0), 0.0)


def _mean_flatness(power: Values, bins_hz: Values) -> Values:
    """The channels' flatness, each weighted by its power.

    That of their summed power would be higher: two noises together are smoother than one.
    """
    each = np.stack([flatness(channel, bins_hz) for channel in power])
    weight = power.sum(2)
    total = weight.sum(0)
    return np.divide((each * weight).sum(0), total, out=np.zeros(len(total)), where=total > 0)


def a_weighting(frequency_hz: NDArray[np.float64]) -> Values:
    """The A-weighting of power, 1 at 1 kHz (IEC 61672-1, annex E).

    >>> (10 * np.log10(a_weighting(np.array([100.0, 10_000.0])))).round(1)
    array([-19.1,  -2.5])
    """
    square = np.square(np.append(frequency_hz, 1000.0))
    amplitude = (
        12194.217**2
        * square**2
        / (
            (square + 20.598997**2)
            * np.sqrt((square + 107.65265**2) * (square + 737.86223**2))
            * (square + 12194.217**2)
        )
    )
    return np.square(amplitude[:-1] / amplitude[-1])


def _db(power: Values) -> Values:
    return 10.0 * np.log10(np.maximum(power, 10 ** (FLOOR_DB / 10)))
