"""One note of a sound: its code moved in pitch, held as long as the note, and decoded."""

from dataclasses import dataclass, replace

import numpy as np

from timbrel.generation.controls.apply import Audio, decoded
from timbrel.generation.controls.fit import brightness_along
from timbrel.generation.controls.shaped import Array, Shaped
from timbrel.generation.playing.note import A4_HZ, A4_KEY, Note, level_db
from timbrel.generation.playing.sound import NoteSound

LONGEST_S = 600.0
"""No note is longer."""

_LEAD_FRAMES, _JUMP_FRAMES, _LEAST_RELEASE = 3, 3, 5
_DAMPED_S = 0.2  # the release of a sound that rings to its end and has none of its own
_ENDED_DB, _SILENT_DB, _MOST_LIFT_DB = 60.0, -200.0, 12.0
_NEUTRAL_VELOCITY, _BRIGHTER_OCTAVES = 100, 0.5
_ONSET_DB, _ONSET_S = -20.0, 0.002
_FADE_S = 0.002


@dataclass(frozen=True)
class Settings:
    """How notes are played: `glide_s` of legato, the longest release, semitones up."""

    glide_s: float = 0.04
    release_s: float = 0.5
    transpose: float = 0.0


@dataclass(frozen=True, eq=False)
class Voice:
    """A note's audio (channel time), and the sample in which its onset lies."""

    audio: Audio
    onset_sample: int


def voice_frames(sound: NoteSound, note: Note, settings: Settings) -> int:
    """How many frames the note takes behind its onset."""
    return len(_course(sound, note, settings)[0]) - _LEAD_FRAMES


def most_lead_samples(sound: NoteSound) -> int:
    """How far ahead of its onset a note can begin."""
    return _onset_frames(sound) * sound.model.hop_samples


def play(sound: NoteSound, note: Note, settings: Settings, *, take: int = 0) -> Voice:
    """The note, each `take` with other noise and phases.

    The onset is where the sound first comes within 20 dB of the loudest of its onset.
    """
    places, gain_db = _course(sound, note, settings)
    made = sound.sound.at(np.clip(places, 0, sound.sound.n_frames - 1))
    if sound.octave is not None:
        made = _pitched(sound, made, note, settings)
    if "centroid_hz" in made.tracks:
        made = _brighter(made, note.velocity)
    asked_db = level_db(note.velocity) + note.gain_db_at(_seconds(made, note))
    made = replace(made, gain_db=gain_db + sound.gain_db + asked_db)
    audio = decoded(sound.model, made, take=take)
    rate_hz, hop = sound.model.sample_rate_hz, sound.model.hop_samples
    onset = onset_sample(audio[:, : _onset_frames(sound) * hop], rate_hz)
    return Voice(_faded(audio, rate_hz), onset)


def onset_sample(audio: Audio, rate_hz: int) -> int:
    """Where `audio` first comes within 20 dB of its loudest, over 2 ms; 0 for silence."""
    length = max(1, round(_ONSET_S * rate_hz))
    power = np.square(audio, dtype=np.float64).sum(0)
    smooth = np.convolve(power, np.full(length, 1 / length))[: len(power)]
    top = float(smooth.max(initial=0.0))
    return int(np.argmax(smooth >= top * 10 ** (_ONSET_DB / 10))) if top > 0 else 0


def _onset_frames(sound: NoteSound) -> int:
    return sound.body_frame - sound.sound.first_frame + _LEAD_FRAMES + 2


def _course(sound: NoteSound, note: Note, settings: Settings) -> tuple[Array, Array]:
    """The frames of the sound that the note is made of, one for each of its own, and gains in dB.

    What lies ahead of the body stays as it is. A body that is too short is stretched, its level
    falling as fast as it did. Of one that is too long the end is left out: the release follows at
    the level that the note has then. A release that lasts too long falls faster.
    """
    shaped, frame_s = sound.sound, sound.sound.frame_s
    first, body, release = shaped.first_frame, sound.body_frame, sound.release_frame
    held = max(1, round(min(note.stop_s - note.start_s, LONGEST_S) / frame_s))
    places = first + np.arange(held + 1, dtype=np.float64)
    wanted_db = np.zeros(held + 1)
    if first + held > release and release > body:
        stretched = np.arange(held + 1) > body - first
        rate = (release - body) / (first + held - body)
        slowed = body + (places - body) * rate
        wanted_db = np.where(stretched, sound.slope_db * (places - slowed), 0.0)
        places = np.where(stretched, slowed, places)
    places = np.minimum(places, shaped.last_frame)
    level = np.interp(places, np.arange(shaped.n_frames), sound.level_db) + wanted_db
    over = level < sound.level_db.max() - _ENDED_DB
    over[: body - first + 1] = False
    if over.any():  # it has rung out
        last = int(np.argmax(over))
        places, level = places[:last], level[:last]
    tail, tail_db = _release(sound, float(places[-1]), float(level[-1]), settings.release_s)
    lead = first - np.arange(_LEAD_FRAMES, 0, -1, dtype=np.float64)
    places = np.concatenate([lead, places, tail])
    ahead_db = np.interp(lead, np.arange(shaped.n_frames), sound.level_db)
    level = np.concatenate([ahead_db, level, tail_db])
    gain_db = level - np.interp(places, np.arange(shaped.n_frames), sound.level_db)
    gain_db[:_LEAD_FRAMES] = np.where(lead < 0, _SILENT_DB, 0.0)
    return places, np.minimum(gain_db, _MOST_LIFT_DB)


def _release(
    sound: NoteSound, place: float, level_db: float, longest_s: float
) -> tuple[Array, Array]:
    """The frames behind a note's end, and their levels, which begin at `level_db`."""
    shaped = sound.sound
    start, own = place, round(_DAMPED_S / shaped.frame_s)
    if sound.release_frame < shaped.last_frame:
        start = max(place, float(sound.release_frame))
        own = max(0, int(shaped.last_frame - start))
    longest = max(_LEAST_RELEASE, round(longest_s / shaped.frame_s))
    n = min(max(own, _LEAST_RELEASE), longest)
    since = np.arange(1, n + 1, dtype=np.float64)
    jump = min(_JUMP_FRAMES, n)
    places = np.where(since <= jump, place + (start - place) * since / jump, start + since - jump)
    places = np.minimum(places, shaped.last_frame)
    own_db = np.interp(places, np.arange(shaped.n_frames), sound.level_db)
    at_start = float(np.interp(start, np.arange(shaped.n_frames), sound.level_db))
    fall_db = np.where(since <= jump, 0.0, np.minimum(own_db - at_start, 0.0))
    # What has not fallen far enough by itself at the end is brought there in a straight line.
    missing = min(0.0, -_ENDED_DB - float(fall_db[-1]))
    return places, level_db + fall_db + missing * since / n


def _pitched(sound: NoteSound, made: Shaped, note: Note, settings: Settings) -> Shaped:
    """The pitch of the note, the sound's own movements about it; its brightness goes along."""
    key = note.pitch_at(_seconds(made, note), settings.glide_s) + settings.transpose
    octaves = np.log2(A4_HZ) + (key - A4_KEY) / 12 - sound.octave
    rows = made.rows.copy()
    f0 = made.row("f0_hz")
    own_f0 = rows[f0].copy()
    rows[f0] += octaves
    if "centroid_hz" in made.tracks:
        bright = made.row("centroid_hz")
        rows[bright] = brightness_along(rows[bright], own_f0, octaves)
    return replace(made, rows=rows, transposed_octaves=made.transposed_octaves + octaves)


def _seconds(made: Shaped, note: Note) -> Array:
    """When the middles of its frames sound."""
    return note.start_s + (np.arange(made.n_frames) + 0.5 - _LEAD_FRAMES) * made.frame_s


def _brighter(made: Shaped, velocity: float) -> Shaped:
    """Half an octave between a whisper and a velocity of 100, which is the sound as it is."""
    rows = made.rows.copy()
    rows[made.row("centroid_hz")] += _BRIGHTER_OCTAVES * (velocity / _NEUTRAL_VELOCITY - 1)
    return replace(made, rows=rows)


def _faded(audio: Audio, rate_hz: int) -> Audio:
    """`audio` with 2 ms of fade at both ends."""
    n = min(round(_FADE_S * rate_hz), audio.shape[1] // 2)
    rise = np.sin(0.5 * np.pi * (np.arange(n) + 0.5) / max(n, 1)) ** 2
    faded = audio.copy()
    faded[:, :n] *= rise
    faded[:, audio.shape[1] - n :] *= rise[::-1]
    return faded
