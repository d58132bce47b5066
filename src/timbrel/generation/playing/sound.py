"""A sound as it is played at other pitches and for other times: its onset, body and release."""

from dataclasses import dataclass

import numpy as np

from timbrel.contracts import Latent
from timbrel.errors import UserError
from timbrel.generation.controls.apply import Audio, Playable, playable
from timbrel.generation.controls.shaped import Array, Shaped, frame_power
from timbrel.models.autoencoder import Autoencoder

LOUDNESS_LUFS = -18.0
"""A note of velocity 127 is brought to this loudness, by one gain for all notes of a sound."""

_SURE = 0.5
_HEARD_DB, _RISEN_DB, _ENDED_DB = 30.0, 3.0, 60.0
_LEAST_VOICED, _MOST_SPREAD = 0.5, 2 / 12  # a share of frames, and octaves between quartiles
_SETTLE_FRAMES, _LEAST_FRAMES = 3, 4
_OFF_COURSE_DB = 1.5
_LEAST_DB = -200.0


@dataclass(frozen=True, eq=False)
class NoteSound:
    """A sound that notes are made of.

    The onset lies between `sound.first_frame` and `body_frame`, the release behind
    `release_frame`; between them the level changes by `slope_db` per frame. `level_db` is that of
    each frame. `octave` is the pitch, in octaves above 1 Hz; None where the sound has none.
    `gain_db` brings it to `LOUDNESS_LUFS`.
    """

    model: Autoencoder
    sound: Shaped
    level_db: Array
    body_frame: int
    release_frame: int
    slope_db: float
    octave: float | None
    gain_db: float
    audio: Audio


def note_sound(model: Autoencoder, latent: Latent, n_samples: int) -> NoteSound:
    """The sound of a code (batch 1). Raises UserError where the model's output is not finite."""
    whole = playable(model, latent, n_samples)
    if not np.isfinite(whole.audio).all():
        raise UserError(
            "the model's output is not finite (NaN or infinity); its training diverged: use "
            "another model"
        )
    level = _level(whole, model.hop_samples)
    sound = whole.sound
    risen = np.flatnonzero(level >= level.max() - _RISEN_DB)[0]
    body = min(max(int(risen), sound.first_frame) + _SETTLE_FRAMES, sound.last_frame)
    release, slope = _knee(level[body : sound.last_frame + 1])
    peak = max(float(np.abs(whole.audio).max()), 1e-9)
    wanted = LOUDNESS_LUFS - whole.level_db
    return NoteSound(
        model=model,
        sound=sound,
        level_db=level,
        body_frame=body,
        release_frame=body + release,
        slope_db=min(slope, 0.0),
        octave=_octave(sound, level),
        gain_db=min(wanted, -20 * np.log10(peak)) if np.isfinite(wanted) else 0.0,
        audio=whole.audio,
    )


def _level(whole: Playable, hop: int) -> Array:
    power = frame_power(whole.audio, whole.sound.n_frames, hop)
    least = max(power.max() * 10 ** (-(_ENDED_DB + 20) / 10), 10 ** (_LEAST_DB / 10))
    return 10 * np.log10(np.maximum(power, least))


def _knee(level: Array) -> tuple[int, float]:
    """Where the last, steeper fall begins, and the slope ahead of it, in dB per frame.

    Two straight lines that fit best have their corner in that fall; it begins where the level
    leaves the course that it had. Where the second line is not the steeper one the sound falls by
    itself to its end.
    """
    n = len(level)
    best = (np.inf, n - 1)
    for corner in range(_LEAST_FRAMES, n - 2):
        (before, slope), (behind, fall) = _line(level[: corner + 1]), _line(level[corner:])
        if fall < 2 * min(slope, 0.0) - 0.2 and before + behind < best[0]:
            best = (before + behind, corner)
    corner = best[1]
    body = level[: corner + 1]
    half = max(1, len(body) // 2)
    slope = float(np.median(body[half:] - body[: len(body) - half])) / half if corner else 0.0
    course = slope * np.arange(len(body))
    on_course = np.flatnonzero(body - course >= np.median(body - course) - _OFF_COURSE_DB)
    return (int(on_course[-1]) if corner < n - 1 else corner), slope


def _line(level: Array) -> tuple[float, float]:
    """The squared error of the straight line through `level`, and its slope."""
    if len(level) < 2:
        return 0.0, 0.0
    place = np.arange(len(level)) - (len(level) - 1) / 2
    centred = level - level.mean()
    slope = float(place @ centred / (place @ place))
    return float(centred @ centred - slope * (place @ centred)), slope


def _octave(sound: Shaped, level: Array) -> float | None:
    """The median f0, by power, of the frames that are heard; None where too few have one."""
    if "f0_hz" not in sound.tracks:
        return None
    heard = level >= level.max() - _HEARD_DB
    sure = heard & (sound.rows[sound.row("confidence")] >= _SURE)
    if sure.sum() < _LEAST_VOICED * heard.sum():
        return None
    f0, power = sound.rows[sound.row("f0_hz")][sure], 10 ** (level[sure] / 10)
    order = np.argsort(f0)
    share = np.cumsum(power[order]) / power.sum()
    low, middle, high = (float(f0[order][np.searchsorted(share, at)]) for at in (0.25, 0.5, 0.75))
    return middle if high - low <= _MOST_SPREAD else None
