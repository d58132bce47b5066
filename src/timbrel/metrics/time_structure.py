"""How a sound goes on in time, as 13 numbers: does it begin, decay and end as recordings do?

Conventions: audio is `(channel, time)`; every number is finite. What a sound does not have, as a
decay of two samples or anything of silence, is the `neutral` value of its `Descriptor`. Durations
and rates are logarithms, so that equal ratios are equal differences. None depends on gain. Nothing
here hears pitch or colour, but for how the colour moves: `metrics.embedding` hears the rest.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from timbrel.attributes.envelope import attack_s, decay, peak_envelope
from timbrel.attributes.extent import last_db
from timbrel.attributes.frames import (
    HOP_S,
    SILENT_DBFS,
    Signal,
    Values,
    active,
    as_numbers,
    hop_of,
    without_dc,
)
from timbrel.attributes.onsets import onset_frames
from timbrel.attributes.spectrum import spectral_frames
from timbrel.metrics.distribution import SetDistance, kernel_audio_distance, median_distance

FLOOR_DB = -80.0
"""What lies further below the peak counts as that."""
REBOUND_DB, REBOUND_RANGE_DB = 6.0, 40.0

_FALL_S = 0.1
_ONSET = 0.1  # of the envelope's maximum, 20 dB below it
_FASTEST_S, _SLOWEST_DB_PER_S = 1e-3, 1.0
_LEAST_FRAMES = 3
_FARTHEST = 5.0  # spreads
_MAD_TO_DEVIATION = 1.4826  # of a normal distribution
_SMOOTH_FRAMES = 5


@dataclass(frozen=True)
class Descriptor:
    """One number: its unit, its value where it is not defined, and the least spread that counts.

    A set of recordings may not differ in it at all: differences below `least` are not heard.
    """

    name: str
    words: str
    unit: str
    neutral: float
    least: float


DESCRIPTORS = (
    Descriptor("attack", "attack", "log10 s", -2.0, 0.1),
    Descriptor("decay", "decay", "log2 dB/s", 0.0, 0.3),
    Descriptor("duration", "duration above -40 dB", "log2 s", -6.6, 0.1),
    Descriptor("filled", "share of the clip above -40 dB", "", 0.0, 0.05),
    Descriptor("temporal_centroid", "temporal centroid", "log2 s", -6.6, 0.1),
    Descriptor("crest", "crest factor", "dB", 0.0, 1.0),
    Descriptor("onset", "onset time", "s", 0.0, 0.01),
    Descriptor("peak", "peak time", "s", 0.0, 0.01),
    Descriptor("onsets", "number of onsets", "", 0.0, 0.5),
    Descriptor("end", "level of the last 50 ms below the peak", "dB", FLOOR_DB, 3.0),
    Descriptor("fall", "level 100 ms after the peak", "dB", FLOOR_DB, 1.5),
    Descriptor("centroid_deviation", "deviation of the spectral centroid", "octaves", 0.0, 0.05),
    Descriptor("centroid_slope", "slope of the spectral centroid", "octaves/s", 0.0, 0.2),
)
"""In the order of `describe`."""

NEUTRAL: Values = np.array([d.neutral for d in DESCRIPTORS])


def describe(audio: Signal, rate_hz: int) -> Values:
    """The numbers of `DESCRIPTORS`, in their order; `NEUTRAL` for silence and for no samples.

    - attack: from 10 to 75 % of the maximum (`attributes.envelope.attack_s`), log10 s
    - decay: slope of the level after the peak, log2 of dB/s, at least 1 dB/s: 0 if sustained
    - duration: from the first to the last 10 ms frame within 40 dB of the loudest, log2 s
    - filled: share of all frames that are within 40 dB of the loudest
    - temporal centroid: of the power, after the onset, log2 s (Peeters 2004, 4.2.3)
    - crest: peak over root mean square of the frames within 40 dB of the loudest, dB
    - onset, peak: when the envelope first reaches 10 % of its maximum, and its maximum, s
    - onsets: peaks of the spectral flux (`attributes.onsets`)
    - end: peak of the last 50 ms relative to the sound's, dB, at least -80
    - fall: envelope 100 ms after its maximum, relative to that, dB; -80 if the sound has ended
    - centroid: standard deviation (octaves) and slope of a line (octaves/s), frames within 40 dB

    Raises ValueError for audio of another shape.
    """
    if audio.ndim != 2 or not len(audio):
        raise ValueError(f"audio of shape {audio.shape}; (channel, time) with a channel or more")
    raw = as_numbers(audio.astype(np.float32))
    heard = without_dc(raw, rate_hz)
    envelope = peak_envelope(heard, rate_hz)
    top = float(envelope.max(initial=0.0))
    if top <= 10 ** (SILENT_DBFS / 20):
        return NEUTRAL.copy()
    spectra = spectral_frames(heard, rate_hz)
    sounding = active(spectra.level_db)
    first, peak = int(np.argmax(envelope >= _ONSET * top)), int(np.argmax(envelope))
    after = peak + round(_FALL_S * rate_hz)
    rise_s = attack_s(envelope, rate_hz, from_start=True)
    falls = decay(envelope, rate_hz)
    deviation, slope = _movement(spectra.centroid_hz, sounding)
    found = [
        NEUTRAL[0] if rise_s is None else np.log10(rise_s),
        0.0 if falls is None else np.log2(max(falls.db_per_s, _SLOWEST_DB_PER_S)),
        np.log2(_duration_s(sounding)),
        sounding.mean(),
        np.log2(_temporal_centroid_s(heard, first, rate_hz)),
        _crest_db(heard, sounding, rate_hz),
        first / rate_hz,
        peak / rate_hz,
        len(onset_frames(spectra.mel_db, sounding, from_start=True)),
        max(last_db(raw, rate_hz), FLOOR_DB),
        _db(float(envelope[after]) / top) if after < len(envelope) else FLOOR_DB,
        deviation,
        slope,
    ]
    return np.nan_to_num(np.array(found, np.float64))


def describe_all(sounds: list[Signal], rate_hz: int) -> Values:
    """A row per sound, `(sound, 13)`."""
    return np.stack([describe(x, rate_hz) for x in sounds]) if sounds else np.zeros((0, 13))


def standardised(points: Values, reference: Values) -> Values:
    """`points` in robust standard deviations of `reference`, from its median, at most 5 of them.

    The deviation is 1.4826 times the median absolute one, and at least each descriptor's `least`.

    >>> line = np.linspace(-1.0, 1.0, 5)[:, None] * np.ones(13)
    >>> float(standardised(line, line)[4, 10])  # 1 dB, of a least spread of 1.5 dB
    0.6666666666666666
    """
    centre = np.median(reference, axis=0)
    spread = _MAD_TO_DEVIATION * np.median(np.abs(reference - centre), axis=0)
    spread = np.maximum(spread, [d.least for d in DESCRIPTORS])
    return np.clip((points - centre) / spread, -_FARTHEST, _FARTHEST)


def time_distance(reference: Values, generated: Values) -> SetDistance:
    """Kernel distance (`metrics.distribution`, times 100) of two sets of rows of `describe`.

    Both are `standardised` by the reference. About 0 for sets of one distribution; two sets that
    have nothing in common and no spread reach 200. A reference without spread has the bandwidth 1.

    Raises ValueError where a set has fewer than two rows.
    """
    known, drawn = standardised(reference, reference), standardised(generated, reference)
    bandwidth = median_distance(known) if len(known) > 1 else 0.0
    return kernel_audio_distance(known, drawn, bandwidth=max(bandwidth, 1.0))


def rebounds(audio: Signal, rate_hz: int) -> bool:
    """Whether the level rises by more than 6 dB after its peak, from what it had fallen to.

    The level is that of 50 ms, every 10 ms; what lies 40 dB or more below the peak counts as that.
    A second hit rebounds, and so does a slow beat; a decay does not. Never of silence.

    >>> t = np.arange(48_000) / 48_000
    >>> hit = np.sin(2000 * t) * np.exp(-10 * t)
    >>> rebounds(hit[None], 48_000), rebounds((hit + np.roll(hit, 24_000))[None], 48_000)
    (False, True)
    """
    hop = hop_of(rate_hz)
    power = np.square(as_numbers(audio.astype(np.float64))).mean(0)
    frames = np.add.reduceat(power, np.arange(0, max(len(power), 1), hop)) if len(power) else power
    if len(frames) < 2 or frames.max() <= 10 ** (SILENT_DBFS / 10) * hop:
        return False
    smooth = np.convolve(frames, np.ones(_SMOOTH_FRAMES), "same")
    peak = int(np.argmax(smooth))
    level_db = 10 * np.log10(np.maximum(smooth[peak:] / smooth[peak], 1e-12))
    level_db = np.maximum(level_db, -REBOUND_RANGE_DB)
    return bool((level_db > np.minimum.accumulate(level_db) + REBOUND_DB).any())


def _duration_s(sounding: NDArray[np.bool_]) -> float:
    places = np.flatnonzero(sounding)
    return HOP_S * float(places[-1] - places[0] + 1) if len(places) else HOP_S


def _temporal_centroid_s(audio: Signal, onset: int, rate_hz: int) -> float:
    power = np.square(audio[:, onset:], dtype=np.float64).sum(0)
    total = float(power.sum())
    if not total > 0:
        return _FASTEST_S
    return max(float(power @ np.arange(len(power))) / total / rate_hz, _FASTEST_S)


def _crest_db(audio: Signal, sounding: NDArray[np.bool_], rate_hz: int) -> float:
    inside = np.repeat(sounding, hop_of(rate_hz))[: audio.shape[1]]
    heard = audio[:, : len(inside)][:, inside]
    mean = float(np.sqrt(np.square(heard, dtype=np.float64).mean())) if heard.size else 0.0
    return -_db(mean / float(np.abs(audio).max())) if mean > 0 else 0.0


def _movement(centroid_hz: Values, sounding: NDArray[np.bool_]) -> tuple[float, float]:
    """Deviation in octaves and slope in octaves/s of the centroid where the clip sounds."""
    octaves = np.log2(np.maximum(centroid_hz[sounding], 1.0))
    if len(octaves) < _LEAST_FRAMES:
        return 0.0, 0.0
    time_s = HOP_S * np.flatnonzero(sounding)
    centred = time_s - time_s.mean()
    return float(octaves.std()), float(centred @ octaves / (centred @ centred))


def _db(ratio: float) -> float:
    return max(20.0 * float(np.log10(max(ratio, 1e-12))), FLOOR_DB)
