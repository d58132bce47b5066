"""What plain signal processing makes of the same slider, on the decoded sound: the reference.

A varispeed, a tilt of the spectrum, ramps and added noise. They are what a learned slider stands
beside: an ideal varispeed scores low, because it changes the decay with the pitch.
"""

from collections.abc import Callable

import numpy as np
import soxr
from numpy.typing import NDArray

from timbrel.attributes.measurement import measure
from timbrel.generation.controls.apply import Audio, Playable, level_of_db, tilted
from timbrel.metrics.sliders import on_axes
from timbrel.randomness import numpy_generator

Array = NDArray[np.float64]
Reference = Callable[[Playable, Array], Array]

_TILT_DB_PER_OCTAVE = 6.0  # moves the centroid of most sounds by about an octave


def _pitch(audio: Audio, rate_hz: int, octaves: float, _: Playable) -> Audio:
    return soxr.resample(audio.T, 2**octaves, 1.0, quality="MQ").T


def _brightness(audio: Audio, rate_hz: int, octaves: float, _: Playable) -> Audio:
    return tilted(audio, rate_hz, _TILT_DB_PER_OCTAVE * octaves)


def _attack(audio: Audio, rate_hz: int, decades: float, anchor: Playable) -> Audio:
    rise_s = anchor.own.get("attack_s", 0.01) * 10**decades
    since_s = np.arange(audio.shape[1]) / rate_hz - anchor.sound.first_frame * anchor.sound.frame_s
    return audio * np.clip(since_s / rise_s, 0.0, 1.0) if decades > 0 else audio


def _decay(audio: Audio, rate_hz: int, octaves: float, anchor: Playable) -> Audio:
    rate = max(anchor.own.get("decay_db_per_s", 0.0), 0.0)
    since_s = np.arange(audio.shape[1]) / rate_hz - anchor.sound.peak_frame * anchor.sound.frame_s
    ramp_db = -rate * (2**octaves - 1) * np.maximum(since_s, 0.0)
    return audio * 10 ** (np.minimum(ramp_db, 24.0) / 20)


def _hnr(audio: Audio, rate_hz: int, decibels: float, anchor: Playable) -> Audio:
    if decibels >= 0:
        return audio
    ratio_db = min(anchor.measured.value("hnr_db") or 0.0, 30.0) + decibels
    noise = numpy_generator(0, 0, "reference noise").standard_normal(audio.shape)
    power = np.mean(np.square(audio, dtype=np.float64)) * 10 ** (-ratio_db / 10)
    return audio + np.sqrt(power) * noise


def _reference(change: Callable[[Audio, int, float, Playable], Audio]) -> Reference:
    def moved(anchor: Playable, moves: Array) -> Array:
        rate_hz = anchor.model.sample_rate_hz
        rows = []
        for move in moves:
            audio = np.ascontiguousarray(change(anchor.audio, rate_hz, float(move), anchor), "f4")
            held_db = anchor.level_db - level_of_db(audio, rate_hz)  # as sliders hold it
            if np.isfinite(held_db):
                audio = (audio * 10 ** (held_db / 20)).astype("f4")
            rows.append(on_axes(measure(audio, rate_hz)))
        return np.stack(rows)

    return moved


REFERENCES: dict[str, Reference] = {
    "pitch": _reference(_pitch),
    "brightness": _reference(_brightness),
    "attack": _reference(_attack),
    "decay": _reference(_decay),
    "hnr": _reference(_hnr),
}
"""By axis: the values `(position, axis)` of an anchor at the moves that a slider makes."""
