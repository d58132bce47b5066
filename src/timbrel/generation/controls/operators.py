"""Operators: each changes one thing of a sound before, or behind, its decoding.

On a plain code straight directions hardly move one attribute alone; what does is a warp of time, a
shift of a track that the decoder follows, the balance of what is tonal and of noise, and a gain.
`amount` 0 leaves a sound as it is, in the unit that each operator names.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from timbrel.generation.controls.shaped import Array, Shaped
from timbrel.metrics.attributes import SHORTEST_ATTACK_S

MEASURED = ("attack_s", "decay_db_per_s", "width", "hnr_db")
"""What an operator may have to know of the sound as it is."""

_LEAST_DB, _SILENT_DB = -100.0, -200.0
_MOST_LIFT_DB = 24.0
_MORE_TILT_DB = 13.0  # per octave, for every octave that the centroid moves
_PITCHED = 0.5
_LEAST_GAIN = 1e-3
_WINDOW_STEPS = 16  # per frame
_CLEAN_DB = 30.0  # a sound that stands out farther is measured no better
_MOST_WIDER = 10.0  # 20 dB: what is raised farther is what the side has of noise

Own = Mapping[str, float]
"""The values of `MEASURED` that the sound has."""

Amount = float | Array
"""A number, or a value per frame."""


@dataclass(frozen=True)
class Operator:
    """One operator: the axis that it is made for, and how far its amount reaches either way.

    One that `varies` takes an amount per frame as well: of the frames that it gives.
    `needs` names the tracks that the decoder must follow, `balance` says that it must have a noise
    of its own, `stereo` that there must be two channels, and `behind` that the operator works on
    the decoded sound alone.
    """

    name: str
    axis: str
    unit: str
    reach: float
    apply: Callable[[Shaped, Any, Own], Shaped]
    needs: tuple[str, ...] = ()
    balance: bool = False
    stereo: bool = False
    behind: bool = False
    varies: bool = False


def _pitch(sound: Shaped, amount: Amount, own: Own) -> Shaped:
    """Semitones: the whole spectrum goes along, so that the sound is as bright for its pitch."""
    made = _shifted(sound, "f0_hz", amount / 12)
    made = replace(made, transposed_octaves=sound.transposed_octaves + amount / 12)
    return _shifted(made, "centroid_hz", amount / 12) if "centroid_hz" in sound.tracks else made


def _brightness(sound: Shaped, amount: Amount, own: Own) -> Shaped:
    """Octaves of the centroid, which stays above f0: below a tone there is noise alone."""
    made = _shifted(sound, "centroid_hz", amount)
    row = sound.row("centroid_hz")
    if {"f0_hz", "confidence"} <= set(sound.tracks):
        pitched = sound.rows[sound.row("confidence")] > _PITCHED
        lowest = np.minimum(sound.rows[sound.row("f0_hz")], sound.rows[row])
        made.rows[row] = np.where(pitched, np.maximum(made.rows[row], lowest), made.rows[row])
    return replace(made, more_tilt_db=made.more_tilt_db + _MORE_TILT_DB * np.abs(amount))


def _tilt(sound: Shaped, amount: Amount, own: Own) -> Shaped:
    """Decibels per octave, of the decoded sound."""
    return replace(sound, tilt_db_per_octave=sound.tilt_db_per_octave + amount)


def _balance(sound: Shaped, amount: Amount, own: Own) -> Shaped:
    """Decibels: the track of noisiness goes along, or the decoder would take noise away again.

    Noise is added from what the sound is: the track tells what the recording was, and a decoder
    that leaves out noise plays it cleaner.
    """
    made = replace(sound, balance_db=sound.balance_db + amount)
    if "hnr_db" not in sound.tracks:
        return made
    track = sound.rows[sound.row("hnr_db"), sound.first_frame : sound.last_frame + 1]
    start = min(own.get("hnr_db", _CLEAN_DB), _CLEAN_DB) - float(np.median(track))
    return _shifted(made, "hnr_db", np.where(np.asarray(amount) < 0, amount + start, amount))


def _level(sound: Shaped, amount: Amount, own: Own) -> Shaped:
    return replace(sound, gain_db=sound.gain_db + amount)


def _attack_warp(sound: Shaped, amount: float, own: Own) -> Shaped:
    """Decades: what lies between the beginning and the peak takes so much more time."""
    return _warped(sound, sound.first_frame, sound.peak_frame, 10**amount)


def _attack_ramp(sound: Shaped, amount: float, own: Own) -> Shaped:
    """Decades of the measured attack: a straight rise from nothing; shorter ones by a warp."""
    if amount <= 0:
        return _attack_warp(sound, amount, own)
    rise_s = max(own.get("attack_s", sound.frame_s), SHORTEST_ATTACK_S) * 10**amount
    since_s = (np.arange(sound.n_frames) + 0.5 - sound.first_frame) * sound.frame_s
    if "loudness_db" in sound.tracks:
        rise = _heard_rise(since_s / rise_s, sound.frame_s / rise_s)
    else:
        rise = np.where(since_s < 0, 1.0, np.clip(since_s / rise_s, 0.0, 1.0))
    return _with_gain(sound, 20 * np.log10(np.maximum(rise, _LEAST_GAIN)))


def _decay_warp(sound: Shaped, amount: float, own: Own) -> Shaped:
    """Octaves of the rate: what lies behind the peak takes so much less time."""
    return _warped(sound, sound.peak_frame, sound.n_frames - 1, 2**-amount)


def _decay_ramp(sound: Shaped, amount: float, own: Own) -> Shaped:
    """Octaves of the measured rate: a level that falls more, or less, from every stroke on."""
    rate = own.get("decay_db_per_s", 0.0)
    if not rate > 0:
        return sound
    frames = np.arange(sound.n_frames)
    last = np.searchsorted(sound.strokes, frames, side="right") - 1
    since_s = np.where(last >= 0, frames - sound.strokes[np.maximum(last, 0)], 0) * sound.frame_s
    ramp_db = -rate * (2**amount - 1) * since_s
    return _with_gain(sound, np.minimum(ramp_db, _MOST_LIFT_DB))


def _speed(sound: Shaped, amount: Amount, own: Own) -> Shaped:
    """Octaves: everything takes so much less time, at its own pitch.

    Amounts per frame are those of the frames that are made, as many as that takes.
    """
    if isinstance(amount, np.ndarray):
        places = np.concatenate([[0.0], np.cumsum(2**amount)])
        return sound.at(places[places <= sound.n_frames - 1])
    return _warped(sound, 0, sound.n_frames - 1, 2**-amount)


def _width(sound: Shaped, amount: float, own: Own) -> Shaped:
    """How much wider (`attributes.space.width`): by the gains of mid and side.

    A sound without a side has none to be raised, and stays as it is.
    """
    width = own.get("width", 0.0)
    if not 0.0 < width < 1.0:
        return sound
    wanted = float(np.clip(width + amount, 0.0, 1.0))
    mid, side = (1 - wanted) / (1 - width), min(wanted / width, _MOST_WIDER)
    return replace(sound, mid_side_gain=(mid, side))


OPERATORS = {
    operator.name: operator
    for operator in (
        Operator("pitch", "pitch", "semitones", 12.0, _pitch, ("f0_hz",), varies=True),
        Operator(
            "brightness", "brightness", "octaves", 3.0, _brightness, ("centroid_hz",), varies=True
        ),
        Operator("tilt", "brightness", "dB per octave", 9.0, _tilt, behind=True, varies=True),
        Operator("balance", "hnr", "dB", 40.0, _balance, balance=True, varies=True),
        Operator("attack_warp", "attack", "decades", 1.0, _attack_warp),
        Operator("attack_ramp", "attack", "decades", 1.0, _attack_ramp),
        Operator("decay_warp", "decay", "octaves", 2.5, _decay_warp),
        Operator("decay_ramp", "decay", "octaves", 2.5, _decay_ramp),
        Operator("speed", "onsets", "octaves", 1.0, _speed, varies=True),
        Operator("width", "width", "", 0.4, _width, stereo=True, behind=True),
        Operator("level", "level", "dB", 12.0, _level, behind=True, varies=True),
    )
}
"""By name, in the order in which several are applied."""


def _shifted(sound: Shaped, track: str, amount: Amount) -> Shaped:
    rows = sound.rows.copy()
    rows[sound.row(track)] += amount
    return replace(sound, rows=rows)


def _heard_rise(since: Array, frame: float) -> Array:
    """By what a straight rise from 0 to 1 lowers levels that are heard through windows.

    `since` are the middles of frames, and `frame` their length, in rises. A window is four frames
    long; what lies before the rise is silent. 1 where a window ends before it.
    """
    offsets = np.linspace(-2.0, 2.0, 4 * _WINDOW_STEPS + 1)
    weights = np.cos(np.pi / 4 * offsets) ** 4  # the square of a Hann window
    place = since[:, None] + offsets * frame
    power = (np.clip(place, 0.0, 1.0) ** 2) @ weights
    heard = (place > 0).astype(np.float64) @ weights
    return np.sqrt(np.where(heard > 0, power / np.maximum(heard, 1e-9), 1.0))


def _with_gain(sound: Shaped, gain_db: Array) -> Shaped:
    """By the track of levels where the decoder follows one, else behind it."""
    if "loudness_db" not in sound.tracks:
        return replace(sound, gain_db=sound.gain_db + gain_db)
    rows = sound.rows.copy()
    row = sound.row("loudness_db")
    level = rows[row] + gain_db
    rows[row] = np.where(level > _LEAST_DB, level, _SILENT_DB)
    return replace(sound, rows=rows)


def _warped(sound: Shaped, start: int, stop: int, factor: float) -> Shaped:
    """What lies between two frames takes `factor` times as long."""
    if stop <= start:
        return sound
    longer = (stop - start) * (factor - 1)
    frames = np.arange(max(1, round(sound.n_frames + longer)), dtype=np.float64)
    places = np.where(frames < start, frames, start + (frames - start) / factor)
    places = np.where(frames > stop + longer, frames - longer, places)
    return sound.at(np.clip(places, 0, sound.n_frames - 1))
