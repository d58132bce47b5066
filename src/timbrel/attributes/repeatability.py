"""The repeat error of an attribute: what it differs by where nothing that matters has changed."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from timbrel.attributes.measurement import Measurement, measure
from timbrel.attributes.registry import CLIP_ATTRIBUTES, Attribute

NOISE_DB = -60.0
GAIN_DB = -7.3
SHIFTS_S = (0.0013, 0.0037, 0.0061)
"""Shorter than a frame of 10 ms, and no simple fraction of it."""
QUANTILE = 0.9

Audio = NDArray[np.float32]
Values = NDArray[np.float64]


def repeat_error(
    clips: Sequence[Audio], rate_hz: int, rng: np.random.Generator
) -> dict[str, float]:
    """By attribute, the error that 90 % of repeats stay below, in the attribute's unit.

    A repeat measures a clip, `(channel, time)`, again: with white noise 60 dB below its RMS, after
    up to 6 ms of silence, or 7.3 dB softer, which counts only for what does not depend on level.
    Only repeats that are defined on both sides count; nan where there is none.
    """
    errors: dict[str, list[float]] = {attribute.name: [] for attribute in CLIP_ATTRIBUTES}
    for clip in clips:
        first = measure(clip, rate_hz)
        for again, softer in _repeats(clip, rate_hz, rng):
            for attribute in CLIP_ATTRIBUTES:
                if attribute.level_invariant or not softer:
                    errors[attribute.name] += _difference(attribute, first, again)
    return {
        name: float(np.quantile(values, QUANTILE)) if values else float("nan")
        for name, values in errors.items()
    }


def _repeats(
    clip: Audio, rate_hz: int, rng: np.random.Generator
) -> Iterator[tuple[Measurement, bool]]:
    rms = float(np.sqrt(np.mean(np.square(clip, dtype=np.float64))))
    for _ in range(2):
        hiss = rng.standard_normal(clip.shape) * rms * 10 ** (NOISE_DB / 20)
        yield measure((clip + hiss).astype(np.float32), rate_hz), False
    for shift_s in SHIFTS_S:
        shifted = np.pad(clip, ((0, 0), (round(shift_s * rate_hz), 0)))
        yield measure(shifted[:, : clip.shape[1]], rate_hz), False
    yield measure(clip * np.float32(10 ** (GAIN_DB / 20)), rate_hz), True


def _difference(attribute: Attribute, first: Measurement, again: Measurement) -> list[float]:
    before, after = first.value(attribute.name), again.value(attribute.name)
    return [] if before is None or after is None else [abs(after - before)]


def reference_clips(rate_hz: int, rng: np.random.Generator) -> list[Audio]:
    """Twelve stereo sounds of 1 s that span what instruments do; the registry's noise is theirs.

    Plucked tones from 55 to 880 Hz, of exact and of stiff strings, a bell, held tones with breath,
    noises that die away, a drum and a roll.
    """
    time_s = np.arange(rate_hz) / rate_hz
    sounds = []
    for f0_hz, stiff, fall_db_per_s in (
        (55.0, 0.0, 20.0), (110.0, 4e-4, 30.0), (220.0, 1e-4, 40.0), (440.0, 0.0, 60.0),
        (880.0, 2e-4, 90.0),
    ):  # fmt: skip
        rise = np.minimum(time_s / 0.004, 1.0)
        tone = _tone(f0_hz, stiff, time_s, rate_hz)
        sounds.append(tone * rise * 10 ** (-fall_db_per_s * time_s / 20))
    bell = sum(
        np.sin(2 * np.pi * hz * time_s) * np.exp(-time_s * hz / 400)
        for hz in (405.0, 811.0, 973.0, 1217.0, 1623.0, 2103.0)
    )
    sounds.append(0.2 * np.asarray(bell) * np.minimum(time_s / 0.001, 1.0))
    for f0_hz, breath, rise_s in ((196.0, 0.02, 0.08), (330.0, 0.1, 0.25)):
        held = _tone(f0_hz, 0.0, time_s, rate_hz) + breath * rng.standard_normal(rate_hz)
        sounds.append(held * np.minimum(time_s / rise_s, 1.0))
    for fall_db_per_s in (80.0, 250.0):
        sounds.append(0.2 * rng.standard_normal(rate_hz) * 10 ** (-fall_db_per_s * time_s / 20))
    sweep = np.cumsum(50.0 + 150.0 * np.exp(-time_s / 0.02)) / rate_hz
    sounds.append(0.5 * np.sin(2 * np.pi * sweep) * 10 ** (-70.0 * time_s / 20))
    hits = 10 ** (-150.0 * np.mod(time_s, 0.2) / 20)
    sounds.append(0.2 * rng.standard_normal(rate_hz) * hits)
    return [_widened(sound, share, rng) for share, sound in enumerate(sounds)]


def _tone(f0_hz: float, stiff: float, time_s: Values, rate_hz: int) -> Values:
    number = np.arange(1, 25)
    number = number[number * f0_hz * np.sqrt(1 + stiff * number**2) < 0.4 * rate_hz]
    partials_hz = number * f0_hz * np.sqrt(1 + stiff * number**2)
    phases = 2 * np.pi * partials_hz[:, None] * time_s + number[:, None] ** 2
    return 0.2 * (np.sin(phases) / number[:, None]).sum(0)


def _widened(sound: Values, number: int, rng: np.random.Generator) -> Audio:
    """Stereo: the right channel softer, by a sound of its own more or less like the left one."""
    share = 0.05 * number
    own = np.roll(sound, 97) * share
    return np.stack([sound + own, 0.8 * (sound - own)]).astype(np.float32)
