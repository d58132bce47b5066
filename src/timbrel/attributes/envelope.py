"""How a sound begins and dies away: attack time and decay rate, from the envelope of its peaks.

The envelope joins the peaks of the waveform that no higher peak overshadows on both sides within
25 ms (a morphological closing of its magnitude). Unlike a smoothed power it is exact on a linear or
exponential slope and on a hard edge, however slow the tone below it. It follows a noise's own
fluctuations: there attack and decay are rougher.
"""

import math
from dataclasses import dataclass

import numpy as np

from timbrel.attributes.frames import SILENT_DBFS, Signal, Values

CLOSING_S = 0.025
RISE = (0.1, 0.75)
DECAY_FROM_DB, DECAY_TO_DB = 3.0, 33.0
ATTACK_RANGE_S = (1e-4, 10.0)
_STEEP = 4.0  # 12 dB
_REBOUND_DB = 6.0
_STEP_S = 0.001
_LEAST_POINTS = 5
_LEAST_FALL_DB = 10.0
_SUSTAINED_S = 0.1


@dataclass(frozen=True)
class Decay:
    """The rate of fall in dB/s, and the share of the level's variance that a line explains."""

    db_per_s: float
    confidence: float


def peak_envelope(audio: Signal, rate_hz: int, *, from_start: bool = True) -> Values:
    """The envelope of `audio`, one value per sample: the channels' quadratic mean, closed.

    With `from_start` the audio is preceded by silence; without, what is lower than the greatest of
    its first 25 ms is taken for a wave's slope, not for a rise.
    """
    from scipy.ndimage import grey_closing

    magnitude = np.sqrt(np.mean(np.square(audio, dtype=np.float64), axis=0))
    if len(magnitude) < 3:
        return magnitude
    width = max(3, round(CLOSING_S * rate_hz) | 1)
    # The edges must not be filled up from what a mirror would hold.
    beside = np.pad(magnitude, width, constant_values=(0.0 if from_start else np.inf, 0.0))
    closed = grey_closing(beside, size=width)[width:-width]
    # Where the clip is cut on a rising slope its last sample is no peak, unless none is higher.
    ended = magnitude[-1] >= magnitude[-width:].max()
    rising = np.concatenate([[True], magnitude[1:] >= magnitude[:-1]])
    falling = np.concatenate([magnitude[:-1] >= magnitude[1:], [ended]])
    tops = np.flatnonzero(rising & falling & (magnitude >= closed))
    if not len(tops):
        return closed
    joined = np.interp(np.arange(len(magnitude)), tops, magnitude[tops])
    # Before an onset the last peak of the quiet may lie up to 25 ms back: there is no slope
    # between that and the first of the sound, only a flank.
    steep = np.diff(np.log(np.maximum(magnitude[tops], 1e-30))) > np.log(_STEEP)
    flank = np.zeros(len(magnitude), bool)
    for index in np.flatnonzero(steep):
        flank[tops[index] + 1 : tops[index + 1]] = True
    return np.where(flank, closed, joined)


def attack_s(envelope: Values, rate_hz: int, *, from_start: bool) -> float | None:
    """The duration of the rise, in s: from 10 to 75 % of the maximum, divided by 0.65.

    A linear rise reads its own length. Fixed thresholds are those of Peeters (2004, 4.2.1), but for
    the upper one: when noise reaches 90 % of its maximum is random. The rise is the one before the
    envelope first reaches 75 % of its maximum. With `from_start` the audio is preceded by silence;
    without, None where it never lies below 10 % before: the onset is not in it. None for silence.
    """
    top = float(envelope.max(initial=0.0))
    if top <= 10 ** (SILENT_DBFS / 20):
        return None
    high = int(np.argmax(envelope >= RISE[1] * top))
    before = np.flatnonzero(envelope[:high] <= RISE[0] * top)
    if not len(before) and not from_start:
        return None
    begin = _crossing(envelope, int(before[-1]) if len(before) else -1, RISE[0] * top)
    end = _crossing(envelope, high - 1, RISE[1] * top)
    rise_s = (end - begin) / rate_hz / (RISE[1] - RISE[0])
    return min(max(rise_s, ATTACK_RANGE_S[0]), ATTACK_RANGE_S[1])


def decay(envelope: Values, rate_hz: int) -> Decay | None:
    """The slope of a line through the level, in dB/s, positive where it falls.

    As a reverberation time's (ISO 3382-1): fitted from 3 to 33 dB below the maximum, after the last
    time that the level is above the former, up to where it rises again by 6 dB. None where that
    falls by less than 10 dB and lasts less than 0.1 s, or has fewer than five points, 1 ms apart.
    A sustained tone has a decay of 0.
    """
    top = float(envelope.max(initial=0.0))
    if top <= 10 ** (SILENT_DBFS / 20):
        return None
    step = max(1, round(_STEP_S * rate_hz))
    # Among samples, not among the points: a peak may rise and fall between two of these.
    above = np.flatnonzero(envelope >= top * 10 ** (-DECAY_FROM_DB / 20))
    # Where it never falls out of the last 3 dB, all that follows the maximum is its decay.
    falls = above[-1] + step < len(envelope)
    first = int(above[-1]) if falls else int(np.argmax(envelope))
    level_db = 20.0 * np.log10(np.maximum(envelope[first::step] / top, 1e-6))
    rebound = level_db > np.minimum.accumulate(level_db) + _REBOUND_DB
    over = np.flatnonzero(rebound | (level_db < -DECAY_TO_DB))
    level_db = level_db[: over[0]] if len(over) else level_db
    points, spacing_s = len(level_db), step / rate_hz
    if points < _LEAST_POINTS:
        return None
    fall_db = float(level_db[0] - level_db[-1])
    if fall_db < _LEAST_FALL_DB and points * spacing_s < _SUSTAINED_S:
        return None
    time_s = np.arange(points) * spacing_s
    centred_s, centred_db = time_s - time_s.mean(), level_db - level_db.mean()
    slope = float(centred_s @ centred_db / (centred_s @ centred_s))
    rest = float(np.square(centred_db - slope * centred_s).sum())
    total = float(np.square(centred_db).sum())
    explained = 1.0 - rest / total if total > 1e-9 else 1.0
    return Decay(-slope if math.isfinite(slope) else 0.0, max(0.0, explained))


def _crossing(envelope: Values, below: int, threshold: float) -> float:
    """Where, between the samples `below` and the next, the envelope crosses `threshold`."""
    low = float(envelope[below]) if below >= 0 else 0.0
    high = float(envelope[below + 1])
    return below + (threshold - low) / (high - low) if high > low else float(below)
