"""How far a reconstruction is from its reference in what a listener notices first.

Task: both sounds are measured (`timbrel.attributes.measurement.measure`), and the measurements are
compared. Spectral distances cannot replace this: a model whose every note lies on a multiple of its
frame rate may score well in all of them. Units: cents, octaves, decibels, decades, as each name
says; `pitch_accuracy` and `octave_errors` are shares of frames, 0 to 1.

An error exists where the reference has the attribute. Where the reconstruction alone lacks it, the
attribute is lost, and costs what `LOST` says, more than any error that a listener would forgive.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from timbrel.attributes.measurement import Measurement
from timbrel.attributes.pitch import PitchTrack

HALF_SEMITONE_CENTS = 50.0
LOST_CENTS = 4800.0
_LEAST_VOICED = 0.1
_HNR_DB = (-10.0, 30.0)
_DECAY_DB_PER_S = (1.0, 300.0)
SHORTEST_ATTACK_S = 0.002  # an ear tells shorter rises not apart
_HEARD_DB = 60.0


@dataclass(frozen=True)
class HeldAttribute:
    """An attribute of a clip that a reconstruction is to keep.

    `scale` brings a measured value to the unit of the error. `lost` is the error where the
    reconstruction lacks the attribute; `audible` the least range, in that unit, that a set of
    recordings is taken to have when errors are compared with it: a smaller one is not heard.
    Only what has a pitch has what is `voiced`, and only notes and one-shots have what is
    `of_events`: attack and decay of a phrase or a texture are those of its loudest moment.
    """

    attribute: str
    scale: Callable[[float], float]
    lost: float
    audible: float
    voiced: bool = False
    of_events: bool = False


def _same(value: float) -> float:
    return value


def _hnr(value: float) -> float:
    return float(np.clip(value, *_HNR_DB))


def _decay(value: float) -> float:
    """Octaves of a rate between 1 and 300 dB/s; nan for what does not fall."""
    low, high = _DECAY_DB_PER_S
    return float(np.log2(min(value, high))) if value >= low else float("nan")


def _attack(value: float) -> float:
    """Decades of a rise of 2 ms or more: an ear resolves no less (Plomp 1964, gap detection)."""
    return max(value, math.log10(SHORTEST_ATTACK_S))


HELD = {
    "loudness_error_lu": HeldAttribute("loudness_lufs", _same, 60.0, 6.0),
    "brightness_error_octaves": HeldAttribute("log_centroid_octaves", _same, 8.0, 0.5),
    "hnr_error_db": HeldAttribute("hnr_db", _hnr, 40.0, 6.0, voiced=True),
    "attack_error_decades": HeldAttribute("log_attack_time", _attack, 3.0, 0.3, of_events=True),
    "decay_error_octaves": HeldAttribute("decay_db_per_s", _decay, 8.0, 0.5, of_events=True),
}
"""By the name of the score, those whose error is a difference of two values per clip."""


def value_of(measured: Measurement, held: HeldAttribute) -> float:
    """The clip's value in the unit of the error; nan where it has none."""
    if held.voiced and measured.value("f0_hz") is None:
        return float("nan")
    value = measured.value(held.attribute)
    return float("nan") if value is None else held.scale(value)


def told_apart(attack: float, f0_hz: float | None) -> float:
    """`attack` (log10 s), but no less than a period of `f0_hz`, that of the reference.

    How the first period rises is the shape of the wave and the phase in which it begins, not its
    amplitude.
    """
    return attack if f0_hz is None else max(attack, -math.log10(f0_hz))


def attribute_errors(
    wanted: Measurement, given: Measurement, *, event: bool = True
) -> dict[str, float]:
    """The errors that exist, by the names of `metrics.scores`: of pitch, then those of `HELD`.

    `event` says whether the reference is a one-shot or a note. The loudness has its own score
    (`reconstruction.loudness_error_lu`) and is left out.
    """
    errors = {}
    if wanted.value("f0_hz") is not None:
        errors = pitch_errors(measured_pitch(wanted), measured_pitch(given))
    for name, held in HELD.items():
        reference = value_of(wanted, held)
        if name == "loudness_error_lu" or np.isnan(reference) or (held.of_events and not event):
            continue
        # A reconstruction that is no longer voiced still has a harmonic-to-noise ratio.
        found = given.value(held.attribute)
        value = float("nan") if found is None else held.scale(found)
        if held.attribute == "log_attack_time":
            value, reference = (told_apart(x, wanted.value("f0_hz")) for x in (value, reference))
        errors[name] = held.lost if np.isnan(value) else abs(value - reference)
    return errors


def measured_pitch(measured: Measurement) -> PitchTrack:
    """The pitch track of a measurement, of frames within 60 dB of the loudest.

    So far an ear follows the end of a note in a quiet room.
    """
    f0_hz, voiced = measured.track("f0_hz")
    level_db = measured.track("level_k_db")[0]
    voiced = voiced & (level_db > level_db.max(initial=-np.inf) - _HEARD_DB)
    return PitchTrack(f0_hz.astype(np.float64), voiced.astype(np.float64), voiced)


def pitch_errors(wanted: PitchTrack, given: PitchTrack) -> dict[str, float]:
    """Pitch accuracy, octave errors and the pitch error in cents; empty without a voiced frame.

    The accuracy is the raw pitch accuracy of Poliner et al. 2007: the share of the reference's
    voiced frames whose f0 is within 50 cents. Differs: a frame that is not voiced in the
    reconstruction is wrong, for its pitch is not heard. An octave error is within 50 cents of
    another octave of the right pitch. The error in cents is the median over frames that are voiced
    in both, so that a tail that has become noise does not hide a note in tune; where these are
    fewer than a tenth of the reference's, the pitch is lost.
    """
    if not wanted.voiced.any():
        return {}
    cents = np.abs(pitch_difference_cents(wanted, given))
    octaves = np.round(cents / 1200)
    of_class = np.abs(cents - 1200 * octaves) <= HALF_SEMITONE_CENTS
    heard = np.isfinite(cents)
    lost = heard.mean() < _LEAST_VOICED
    return {
        "pitch_accuracy": float(np.mean(cents <= HALF_SEMITONE_CENTS)),
        "octave_errors": float(np.mean(of_class & (octaves > 0))),
        "pitch_error_cents": LOST_CENTS if lost else float(np.median(cents[heard])),
    }


def pitch_difference_cents(wanted: PitchTrack, given: PitchTrack) -> NDArray[np.float64]:
    """Cents of the reconstruction above the reference, for each voiced frame of the latter.

    nan where the reconstruction is not voiced; a difference is at most four octaves.
    """
    frames = np.flatnonzero(wanted.voiced)
    there = frames[frames < len(given.f0_hz)]
    cents = np.full(len(frames), np.nan)
    found = 1200 * np.log2(given.f0_hz[there] / wanted.f0_hz[there])
    found = np.clip(found, -LOST_CENTS, LOST_CENTS)
    cents[: len(there)] = np.where(given.voiced[there], found, np.nan)
    return cents
