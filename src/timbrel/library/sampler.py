"""Samples for samplers: a sound of the model at many keys, measured, with loops."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from timbrel.attributes.measurement import measure
from timbrel.audio.loops import Loop, find_loop, with_loop
from timbrel.audio.origin import tag
from timbrel.audio.resample import resample
from timbrel.audio.sfz import HIGHEST_VOLUME_DB, MOST_TUNE_CENTS
from timbrel.config.keys import key_name
from timbrel.errors import UserError
from timbrel.generation.controls.apply import level_of_db
from timbrel.generation.engine import shape
from timbrel.generation.playing.note import Note, hz_of
from timbrel.generation.playing.sound import LOUDNESS_LUFS, NoteSound
from timbrel.generation.playing.voice import Settings, play
from timbrel.generation.prior.draw import described
from timbrel.library.instrument import Instrument
from timbrel.library.playing import Played, covered_keys
from timbrel.library.render_settings import (
    RenderSettings,
    Samples,
    check_takes,
    rendering_metadata,
)

HELD_S, RINGS_S = 2.0, 10.0
"""So long a key is held where `seconds` says nothing: of a sound that stays, and, at most, of one
that rings out."""
RELEASE_S = 0.5

_AHEAD_S = 0.005
_SETTLED_S = 0.1  # behind the onset: no loop begins earlier
_MOST_SLOPE_DB_PER_S = 6.0  # what falls faster rings out, and has no loop


@dataclass(frozen=True)
class Place:
    """Where a sample is played: its key, and the keys, velocities and turn that it stands for."""

    index: int
    key: int
    keys: tuple[int, int]
    velocities: tuple[int, int]
    take: int

    @property
    def name(self) -> str:
        """What its file's name says, in the order of keys."""
        return f"{self.key:03d}_v{self.velocities[1]:03d}_{self.take}"


@dataclass(frozen=True)
class Sample:
    """A rendered sample (channel time) at `rate_hz`, and what was measured on it."""

    samples: Samples
    rate_hz: int
    metadata: Mapping[str, Any]
    loop: Loop | None
    cents: float | None
    """How far it is from its key; None where it has no pitch."""
    loudness_lufs: float

    @property
    def tune_cents(self) -> int:
        """What corrects its pitch; 0 where it is unknown, or off by a semitone and more."""
        cents = 0 if self.cents is None else -round(self.cents)
        return cents if abs(cents) < MOST_TUNE_CENTS else 0

    def volume_db(self, gain_db: float) -> float:
        """What brings it to the common loudness, once its file was turned down by `gain_db`."""
        wanted = round(LOUDNESS_LUFS - self.loudness_lufs - gain_db, 1)
        return min(wanted, HIGHEST_VOLUME_DB) + 0.0 if np.isfinite(wanted) else 0.0  # no -0.0


def places(
    keys: Sequence[int], velocities: int, round_robins: int, *, apart: bool = False
) -> Iterator[Place]:
    """All samples; each key stands for its neighbours too, half way to the next, unless `apart`.

    >>> [place.keys for place in places([60, 64], 1, 1)]
    [(59, 62), (63, 66)]
    >>> [place.velocities for place in places([60], 3, 1)]
    [(1, 42), (43, 84), (85, 127)]
    """
    step = keys[1] - keys[0] if len(keys) > 1 else 1
    below, above = (0, 0) if apart else ((step - 1) // 2, step // 2)
    tops = [round(127 * (i + 1) / velocities - 0.4) for i in range(velocities)]
    layers = list(zip([1, *(top + 1 for top in tops)], tops, strict=False))
    for index, key in enumerate(keys):
        reach = max(0, key - below), min(127, key + above)
        for layer in layers:
            for take in range(1, round_robins + 1):
                yield Place(index, key, reach, layer, take)


@dataclass(frozen=True)
class Sampler:
    """Renders the samples of `settings`, at the rate of their files.

    `asked` are the attributes of a new sound. Raises UserError where the source takes a setting
    not, and for a named sound without a pitch.
    """

    instrument: Instrument
    settings: RenderSettings
    asked: Mapping[str, float]
    rate_hz: int

    def __post_init__(self) -> None:
        check_takes("keys", self.settings, input=None, to=None, attributes=self.asked)
        if self.settings.sound is not None and self.one_shots:
            raise UserError(
                f"source=keys: {self._played.name} has no pitch that the model follows; leave "
                "sound= out: each key is another sound of the model then"
            )

    @cached_property
    def _played(self) -> Played:
        return self.instrument.played(self.settings, self.asked)

    @property
    def one_shots(self) -> bool:
        """Whether the sound has no pitch: each key is then another sound, played to its end."""
        return self._played.sound.octave is None

    def notices(self, keys: Sequence[int]) -> Iterator[str]:
        """What a user has to know of these keys."""
        if self.one_shots:
            yield f"{self._played.name} has no pitch: one sound of the model for each key"
            return
        if (covered := covered_keys(self._played.bank)) is not None:
            low, high = covered
            outside = sum(not low - 0.5 <= key <= high + 0.5 for key in keys)
            if outside:
                yield (
                    f"{outside} keys outside of the recordings' {key_name(low)} to {key_name(high)}"
                )

    def sample(self, place: Place) -> Sample:
        """The sample of one place, at the common loudness."""
        played = self._played
        if self.one_shots:
            settings = replace(self.settings, seed=self.settings.seed + place.index)
            played = self.instrument.played(settings, self.asked) if place.index else played
        sound = played.like(place.take - 1)
        audio, onset = self._rendered(sound, place)
        loop = self._loop(sound, audio, onset)
        if loop is not None:
            audio = with_loop(audio, self.rate_hz, loop)
        loudness = level_of_db(audio, self.rate_hz)
        gain_db = LOUDNESS_LUFS - loudness if np.isfinite(loudness) else 0.0
        shaped = shape(
            [audio],
            n_samples=audio.shape[1],
            rate_hz=self.rate_hz,
            gain_db=gain_db + self.settings.gain_db,
            fade_in_s=self.settings.fade_in_s,
            fade_out_s=self.settings.fade_out_s,
        )
        made = np.concatenate(list(shaped), axis=1)
        return Sample(
            made,
            self.rate_hz,
            self._metadata(played, place, made.shape[1]),
            loop,
            None if self.one_shots else self._cents(made, place.key),
            level_of_db(made, self.rate_hz) - self.settings.gain_db,
        )

    def _rendered(self, sound: NoteSound, place: Place) -> tuple[Samples, int]:
        """The note, and the sample of its onset; what lies ahead of that is cut."""
        held_s = self.settings.seconds or (HELD_S if _stays(sound) else RINGS_S)
        if self.one_shots:
            whole = sound.sound.last_frame - sound.sound.first_frame + 1
            held_s = min(self.settings.seconds or np.inf, whole * sound.sound.frame_s)
        note = Note(0.0, held_s, held_s, place.velocities[1], 1, ((0.0, place.key),))
        take = (place.take - 1) if not self.settings.variety else 0
        voice = play(sound, note, Settings(release_s=RELEASE_S), take=take)
        model_hz = sound.model.sample_rate_hz
        ahead = min(voice.onset_sample, round(_AHEAD_S * model_hz))
        audio = voice.audio[:, voice.onset_sample - ahead :].copy()
        audio[:, :ahead] *= np.linspace(0, 1, ahead, dtype=np.float32)
        onset = round(ahead * self.rate_hz / model_hz)
        return resample(audio, model_hz, self.rate_hz), onset

    def _loop(self, sound: NoteSound, audio: Samples, onset: int) -> Loop | None:
        """A loop in what is held: behind the onset, ahead of the release."""
        if self.one_shots or not _stays(sound):
            return None
        body_s = (sound.body_frame - sound.sound.first_frame) * sound.sound.frame_s
        first = onset + round((body_s + _SETTLED_S) * self.rate_hz)
        held = onset + round((self.settings.seconds or HELD_S) * self.rate_hz)
        return find_loop(audio, self.rate_hz, first, held)

    def _cents(self, samples: Samples, key: int) -> float | None:
        f0_hz = measure(samples, self.rate_hz).value("f0_hz")
        return None if f0_hz is None else 1200 * float(np.log2(f0_hz / hz_of(key)))

    def _metadata(self, played: Played, place: Place, n_samples: int) -> dict[str, Any]:
        label = f"keys {key_name(place.key)} velocity {place.velocities[1]} take {place.take}"
        made = rendering_metadata(self.instrument.bundle, "keys", label, played.settings, n_samples)
        del made["precise"]
        made["seconds"] = round(n_samples / self.rate_hz, 6)
        if played.chosen.draw.made_of:
            made["made_of"] = tag(described(played.chosen.draw.made_of))
        if self.asked:
            made["attributes"] = dict(self.asked)
        return made


def _stays(sound: NoteSound) -> bool:
    """Whether it sounds while a key is held, and does not ring out."""
    return sound.slope_db / sound.sound.frame_s >= -_MOST_SLOPE_DB_PER_S
