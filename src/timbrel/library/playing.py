"""Songs: the notes of a MIDI file, played by a sound of the model."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from timbrel.audio.origin import tag
from timbrel.config.keys import key_name
from timbrel.config.values import PRESET
from timbrel.errors import UserError
from timbrel.generation.engine import AudioBlock, shape
from timbrel.generation.playing.midi_file import read_song
from timbrel.generation.playing.mixing import mixed
from timbrel.generation.playing.note import A4_HZ, A4_KEY, Note, joined_lines
from timbrel.generation.playing.sound import NoteSound, note_sound
from timbrel.generation.playing.voice import (
    LONGEST_S,
    Settings,
    most_lead_samples,
    play,
    voice_frames,
)
from timbrel.generation.prior.bank import Bank
from timbrel.generation.prior.draw import Draw, described
from timbrel.generation.prior.encoded import clip_of
from timbrel.library.bundle import Bundle
from timbrel.library.controlling import whole_code
from timbrel.library.from_sounds import varied
from timbrel.library.given import Given
from timbrel.library.new_sounds import Chosen, NewSounds
from timbrel.library.render_settings import Rendering, RenderSettings, rendering_metadata

SOUNDS, TAKES = 8, 16
"""How many sounds `variety` plays in turn, and takes of each."""


@dataclass(frozen=True)
class Played:
    """The sound that notes are made of, as it was chosen, and others like it.

    `chosen` is a new sound, or one that the user names.
    """

    bundle: Bundle
    bank: Bank | None
    chosen: Chosen
    name: str
    settings: RenderSettings
    asked: Mapping[str, float]

    @cached_property
    def sound(self) -> NoteSound:
        """The sound itself."""
        return self._note_sound(self.chosen.draw)

    def like(self, number: int) -> NoteSound:
        """The sound of `number`: 0 is the sound itself, with `variety` others are like it.

        Raises UserError for a sound that is silent or not finite, and where the model holds no
        codes of its recordings to make it of.
        """
        if not (self.settings.variety and number):
            return self.sound
        known = self.__dict__.setdefault("_like", {})
        if number not in known:
            known[number] = self._varied(number)
        return known[number]

    def _varied(self, number: int) -> NoteSound:
        model = self.bundle.model
        if self.bank is None:
            raise UserError(
                f"variety={self.settings.variety:g}: '{self.bundle.card.name}' holds no codes of "
                "its recordings; timbrel prior run=RUN adds them"
            )
        code = whole_code(model, self.chosen.draw)
        clip = clip_of(
            code,
            self.sound.audio,
            self.name,
            rate_hz=model.sample_rate_hz,
            hop_samples=model.hop_samples,
        )
        settings = RenderSettings(seed=self.settings.seed + number, strength=self.settings.variety)
        return self._note_sound(varied(model, self.bank, clip, settings, None))

    def _note_sound(self, draw: Draw) -> NoteSound:
        model = self.bundle.model
        made = note_sound(model, whole_code(model, draw), draw.source.n_samples)
        if not np.abs(made.audio).max() > 0:
            raise UserError(f"{self.name}: nothing but silence; take another seed= or sound=")
        return made


def played(
    bundle: Bundle, new: NewSounds, settings: RenderSettings, asked: Mapping[str, float]
) -> Played:
    """The sound that `settings.sound` names, or the new one of `settings.seed`.

    Raises UserError as `NewSounds.choose`, and where the file or preset cannot be read.
    """
    bank = getattr(new.prior, "bank", None)
    if settings.sound is None:
        chosen, name = new.choose(settings, None, asked), f"the sound of seed={settings.seed}"
    else:
        given = settings.sound
        chosen = Chosen(Draw(Given(bundle).played(given)))
        name = given.removeprefix(PRESET) if given.startswith(PRESET) else Path(given).name
    return Played(bundle, bank, chosen, name, settings, asked)


def song(sound: Played, path: Path, n_samples: int | None) -> Rendering:
    """The song in the MIDI file `path`, of the length that it has, or `n_samples`.

    Raises UserError as `read_song`, and where the decoder follows no pitch.
    """
    bundle, settings = sound.bundle, sound.settings
    model, midi = bundle.model, settings.midi
    if "f0_hz" not in model.conditions:
        raise UserError(
            f"source=midi: the decoder of '{bundle.card.name}' follows no pitch; train one that "
            "does: architecture=harmonic"
        )
    found = read_song(path, midi.channels)
    notes = joined_lines(found.notes) if midi.legato else list(found.notes)
    playing = Settings(midi.glide_s, midi.release_s, midi.transpose)
    sounds = [sound.like(number) for number in range(SOUNDS if settings.variety else 1)]
    rate_hz = model.sample_rate_hz
    ends = (
        round(note.start_s * rate_hz)
        + voice_frames(sounds[i % len(sounds)], note, playing) * model.hop_samples
        for i, note in enumerate(notes)
    )
    length = max(ends) if n_samples is None else n_samples
    blocks = shape(
        mixed(_voices(sounds, notes, playing), channels=model.channels, n_samples=length),
        n_samples=length,
        rate_hz=rate_hz,
        gain_db=settings.gain_db,
        fade_in_s=settings.fade_in_s,
        fade_out_s=settings.fade_out_s,
    )
    chosen = sound.chosen
    metadata = rendering_metadata(bundle, "midi", f"midi {path.name}", settings, length)
    del metadata["precise"]
    metadata["notes"] = len(notes)
    if chosen.draw.made_of:
        metadata["made_of"] = tag(described(chosen.draw.made_of))
    if sound.asked:
        metadata["attributes"] = dict(sound.asked)
    return Rendering(
        blocks,
        chosen.draw,
        length,
        rate_hz,
        metadata,
        attributes=chosen.attributes,
        nearest=chosen.nearest,
        notices=(f"{len(notes)} notes", *found.notices, *_notices(sound, notes)),
    )


def _voices(
    sounds: list[NoteSound], notes: list[Note], settings: Settings
) -> Iterator[tuple[int, int, AudioBlock]]:
    """Every note for `mixed`: its onset lies at its time."""
    rate_hz = sounds[0].model.sample_rate_hz
    lead = max(map(most_lead_samples, sounds))
    for i, note in enumerate(notes):
        voice = play(sounds[i % len(sounds)], note, settings, take=i % TAKES)
        start = round(note.start_s * rate_hz)
        yield start - lead, start - voice.onset_sample, voice.audio


def _notices(sound: Played, notes: list[Note]) -> Iterator[str]:
    """What is played otherwise than it is written, or than the model has heard it."""
    if sound.sound.octave is None:
        yield f"{sound.name} has no pitch, every note plays it as it is"
        return
    longer = sum(note.stop_s - note.start_s > LONGEST_S for note in notes)
    if longer:
        yield f"{longer} notes cut to {LONGEST_S:.0f} s"
    if (covered := covered_keys(sound.bank)) is None:
        return
    up = sound.settings.midi.transpose
    keys = [key + up for note in notes for _, key in note.keys]
    low, high = covered
    outside = sum(not low - 0.5 <= key <= high + 0.5 for key in keys)
    if outside:
        yield (
            f"{outside} notes outside of the recordings' {key_name(low)} to {key_name(high)} "
            "(midi.transpose= moves them)"
        )


def covered_keys(bank: Bank | None) -> tuple[float, float] | None:
    """The lowest and highest pitch of the recordings, as keys; None where it is not known."""
    found = []
    for clip in bank.recordings if bank is not None and "f0_hz" in bank.tracks else ():
        tracks = dict(zip(bank.tracks, clip.rows[len(clip.rows) - len(bank.tracks) :], strict=True))
        sure = tracks["confidence"][clip.onset_frame : clip.end_frame] >= 0.5
        if sure.any():
            f0 = tracks["f0_hz"][clip.onset_frame : clip.end_frame][sure]
            found.append(A4_KEY + 12 * (float(np.median(f0)) - float(np.log2(A4_HZ))))
    return (min(found), max(found)) if found else None
