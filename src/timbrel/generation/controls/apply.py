"""Controls on a sound: operators and directions by their amounts, decoded, at the level it had."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from timbrel.attributes.measurement import Measurement, measure
from timbrel.audio.level import loudness_lufs
from timbrel.contracts import Latent
from timbrel.data.augmentation.colour import filtered
from timbrel.dsp.mid_side import mid_side
from timbrel.generation.controls.operators import OPERATORS
from timbrel.generation.controls.shaped import Array, Shaped, envelope, per_sample, shaped
from timbrel.generation.controls.varying import Amount, on
from timbrel.generation.engine import decode_stream
from timbrel.models.autoencoder import Autoencoder

Audio = NDArray[np.float32]

_MOST_HOLD_DB = 40.0
_SILENT_DB = -100.0
_TILTED_HZ = (60.0, 16_000.0)
_TILT_STEP_DB = 1.5  # two tilts that are no farther apart mix to one between them
_TAKE_FRAMES, _TAKE_CYCLES = 997, 0.381966


@dataclass(frozen=True, eq=False)
class Playable:
    """A sound that controls can move: as it is, decoded and measured.

    `n_samples` of its decoding are heard; the last frame may reach beyond them.
    """

    model: Autoencoder
    sound: Shaped
    audio: Audio
    measured: Measurement
    n_samples: int

    @cached_property
    def level_db(self) -> float:
        """How loud it is as it is, as `level_of_db` says."""
        return level_of_db(self.audio, self.model.sample_rate_hz)

    @cached_property
    def own(self) -> dict[str, float]:
        """What operators have to know of it."""
        attack = self.measured.value("log_attack_time")
        decay = self.measured.value("decay_db_per_s")
        known = {
            "attack_s": None if attack is None else 10**attack,
            "decay_db_per_s": decay,
            "width": self.measured.value("width"),
            "hnr_db": self.measured.value("hnr_db"),
        }
        return {name: value for name, value in known.items() if value is not None}

    def moved(
        self,
        amounts: Mapping[str, Amount],
        directions: Mapping[str, Array] | None = None,
    ) -> Audio:
        """The sound with operators and directions by their `amounts`, (channel time).

        A direction is added to every frame's code and to the clip code, one beneath the other; one
        of two rows has a row for each of `shaped.COURSES`.
        The level is held: whatever else is moved, the loudness is that of the sound as it is, as
        far as the peak stays below full scale, or below the sound's own. The operator `level` comes
        on top. Amounts that vary are those of the frames that are heard: they come last, and of
        them a speed first.
        """
        level = amounts.get("level", 0.0)
        others = {name: amount for name, amount in amounts.items() if name != "level" and amount}
        if not others:
            return (self.audio * self._gain(level, self.sound, self.n_samples)).astype(np.float32)
        made = self.sound
        for name, direction in (directions or {}).items():
            if not callable(others.get(name)):
                made = _along(made, direction, others.pop(name, 0.0))
        for name, operator in OPERATORS.items():
            if name in others and not callable(others[name]):
                made = operator.apply(made, others.pop(name), self.own)
        for name in sorted(others, key=lambda name: name != "speed"):
            longest = 2 ** OPERATORS[name].reach if name == "speed" else 1
            values = on(others[name], made, math.ceil(longest * made.n_frames))
            if name in OPERATORS:
                made = OPERATORS[name].apply(made, values, self.own)
            else:
                made = _along(made, (directions or {})[name], values)
        audio = decoded(self.model, made)
        held_db = self.level_db - level_of_db(audio, self.model.sample_rate_hz)
        gain = 1.0
        if np.isfinite(held_db):
            gain = 10 ** (float(np.clip(held_db, -_MOST_HOLD_DB, _MOST_HOLD_DB)) / 20)
        highest = max(1.0, float(np.abs(self.audio).max()))
        gain = min(gain, highest / max(float(np.abs(audio).max()), 1e-9))
        longer = made.n_frames - self.sound.n_frames
        n_samples = max(1, self.n_samples + longer * self.model.hop_samples)
        level_gain = self._gain(level, made, n_samples)
        return (audio[:, :n_samples] * (gain * level_gain)).astype(np.float32)

    def _gain(self, level: Amount, sound: Shaped, n_samples: int) -> float | Array:
        """That of the operator `level`: a number, or one per sample."""
        level_db = on(level, sound)
        if isinstance(level_db, np.ndarray):
            return envelope(level_db, n_samples, self.model.hop_samples)
        return 10 ** (level_db / 20)

    def again(self, take: int) -> Audio:
        """The same sound once more, with other noise and other phases."""
        return decoded(self.model, self.sound, take=take)[:, : self.n_samples]


def playable(model: Autoencoder, latent: Latent, n_samples: int | None = None) -> Playable:
    """The sound of a code (batch 1), decoded and measured."""
    hop = model.hop_samples
    kept = latent.n_frames * hop if n_samples is None else n_samples
    audio = np.concatenate(list(decode_stream(model, [latent])), axis=1)[:, :kept]
    return Playable(
        model=model,
        sound=shaped(latent, audio, rate_hz=model.sample_rate_hz, hop_samples=hop),
        audio=audio,
        measured=measure(audio, model.sample_rate_hz),
        n_samples=kept,
    )


def decoded(model: Autoencoder, sound: Shaped, *, take: int = 0) -> Audio:
    """The audio of a sound, with what operators do behind the decoder.

    Another `take` differs in all that is not the sound's own: the noise and the harmonics' phases.
    """
    stream = decode_stream(
        model,
        [sound.latent()],
        first_frame=_TAKE_FRAMES * take,
        first_cycle=_TAKE_CYCLES * take % 1.0,
    )
    audio = np.concatenate(list(stream), axis=1)
    tilt = sound.tilt_db_per_octave
    if np.any(tilt):
        if isinstance(tilt, np.ndarray):
            tilt = per_sample(tilt, audio.shape[1], model.hop_samples)
        bright = tilted(audio, model.sample_rate_hz, tilt)
        audio = bright * course_held(audio, bright, model.hop_samples)
    if sound.mid_side_gain != (1.0, 1.0):
        audio = _widened(audio, sound.mid_side_gain)
    if not sound.gain_db.any():
        return audio
    gain = envelope(sound.gain_db, audio.shape[1], model.hop_samples)
    return (audio * gain).astype(np.float32)


def tilted(audio: Audio, rate_hz: int, db_per_octave: float | Array) -> Audio:
    """`audio` with a tilt of its spectrum about 1 kHz, zero phase; level below 60 Hz.

    A tilt per sample is mixed of the two next to it on a grid of fixed ones.
    """
    if isinstance(db_per_octave, np.ndarray):
        steps = db_per_octave / _TILT_STEP_DB
        mixed = np.zeros(audio.shape)
        for step in range(math.floor(steps.min()), math.ceil(steps.max()) + 1):
            share = np.maximum(1 - np.abs(steps - step), 0.0)
            mixed += share * tilted(audio, rate_hz, step * _TILT_STEP_DB)
        return mixed.astype(np.float32)

    def curve_db(frequency_hz: Array) -> Array:
        return db_per_octave * np.log2(np.clip(frequency_hz, *_TILTED_HZ) / 1000.0)

    return filtered(audio, rate_hz, curve_db)


def course_held(own: Audio, made: Audio, hop_samples: int) -> Array:
    """Gains per sample with which `made` rises and falls as `own` does.

    High partials die away sooner than low ones: by its tilt alone a brighter sound would decay
    faster. Over windows of two hops; what is nearly silent in either is left to its neighbours.
    """
    frames = -(-own.shape[1] // hop_samples)
    before_db, after_db = (_levels_db(sound, frames, hop_samples) for sound in (own, made))
    heard = np.flatnonzero(np.minimum(before_db, after_db) > _SILENT_DB)
    if not len(heard):
        return np.ones(own.shape[1])
    gain_db = np.interp(np.arange(frames), heard, (before_db - after_db)[heard])
    gain_db = gain_db - gain_db[int(before_db.argmax())]  # the level itself is held elsewhere
    return envelope(np.clip(gain_db, -_MOST_HOLD_DB, _MOST_HOLD_DB), own.shape[1], hop_samples)


def _levels_db(sound: Audio, frames: int, hop_samples: int) -> Array:
    """The mean square, in dB, of a frame and the halves of its neighbours."""
    power = np.zeros(frames * hop_samples)
    power[: sound.shape[1]] = np.square(sound, dtype=np.float64).mean(0)
    window = np.hanning(2 * hop_samples)
    around = np.convolve(power, window / window.sum(), mode="same")
    return 10 * np.log10(around[hop_samples // 2 :: hop_samples] + 1e-30)


def _widened(audio: Audio, gains: tuple[float, float]) -> Audio:
    middle_and_side = mid_side(torch.from_numpy(audio)) * torch.tensor(gains)[:, None]
    return mid_side(middle_and_side).numpy()


def _along(sound: Shaped, direction: Array, amount: float | Array) -> Shaped:
    """The clip code, which has one value, moves by the mean of amounts per frame."""
    width = len(sound.rows) - len(sound.tracks)
    rows = sound.rows.copy()
    courses = np.atleast_2d(direction)
    rows[:width] += amount * (courses[:, :width].T @ sound.courses()[: len(courses)])
    clip_code = sound.clip_code + np.mean(amount) * courses[0, width:]
    return replace(sound, rows=rows, clip_code=clip_code)


def level_of_db(audio: Audio, rate_hz: int) -> float:
    """Loudness, or of what is too short for it, or silent, the mean square in dB."""
    level = loudness_lufs(audio, rate_hz)
    if np.isfinite(level):
        return float(level)
    power = float(np.mean(np.square(audio, dtype=np.float64)))
    return 10 * np.log10(power) if power > 0 else float("-inf")
