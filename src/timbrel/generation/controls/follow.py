"""A sound that follows a recording: its loudness, brightness and pitch over time.

The recording's tracks take the place of the sound's own. Loudness and brightness are mapped by
quantiles: the level that a share of the recording's frames lies below becomes the level that the
same share of the training recordings' frames lies below. Of brightness half stays the sound's own,
for a dull sound lacks the partials of a bright one: the median comes to lie half way between the
mapped recording's and the sound's. Pitch is transposed as a whole.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from timbrel.contracts import Conditions, Latent
from timbrel.data.chunks.conditions import from_nearest
from timbrel.generation.controls.shaped import Array, Shaped
from timbrel.generation.tracks import rows_of

SHARES = tuple(np.round(np.arange(0.05, 0.951, 0.05), 2))
"""Of the quantiles in a table: 5 % to 95 %."""

Tables = Mapping[str, tuple[float, ...]]
"""Quantiles by track, hertz as octaves above 1 Hz."""

_SOUNDING_DB, _LEAST_DB, _SILENT_DB = 40.0, -90.0, -200.0
_GONE_DB = 60.0
_SURE = 0.5
_MOST_STRETCH = 2.0  # a steady recording stays steady
_LOOSEST_S = 1.0
_ONSET_FRAMES = 6
_ABOVE_F0 = 0.2  # octaves: no tone's centroid lies lower
_LEAST_SQUEEZE = 0.5
_MORE_TILT_DB = 30.0  # per octave: a dull sound has to become as bright as a voice


@dataclass(frozen=True)
class Voice:
    """The recording that is followed: its tracks by name, (frame,) each, hertz as octaves."""

    tracks: Mapping[str, Array]
    frame_s: float

    @property
    def n_frames(self) -> int:
        """How many frames it has."""
        return len(self.tracks["loudness_db"])

    @property
    def sounds(self) -> bool:
        """Whether any frame is above -90 dB."""
        return bool(sounding(self.tracks["loudness_db"]).any())

    def loosened(self, looseness: float) -> "Voice":
        """The same with the medians of its tracks over `looseness` seconds; 0 leaves all details.

        Median filters of control signals: Flores García et al. 2024, "Sketch2Sound".
        """
        frames = 1 + 2 * round(looseness * _LOOSEST_S / self.frame_s / 2)
        tracks = {k: median_filter(v, frames, mode="nearest") for k, v in self.tracks.items()}
        return replace(self, tracks=tracks)


def voice_of(conditions: Conditions, frame_s: float) -> Voice:
    """The recording with the tracks `conditions` (batch 1)."""
    names = tuple(conditions.tracks)
    n_frames = next(iter(conditions.tracks.values())).shape[1]
    code = Latent(torch.zeros(1, 0, n_frames), torch.zeros(1, 0), conditions)
    rows = rows_of(code)[0].double().numpy()
    return Voice(dict(zip(names, rows, strict=True)), frame_s)


def track_tables(
    recordings: Iterable[Array], tracks: Sequence[str]
) -> dict[str, tuple[float, ...]]:
    """The tables of recordings by their rows (row frame), of which `tracks` names the last.

    Loudness and brightness are those of frames that sound, f0 that of frames that have one. A
    track that no frame has is left out.
    """
    found: dict[str, list[Array]] = {}
    for rows in recordings if "loudness_db" in tracks else ():
        named = dict(zip(tracks, rows[len(rows) - len(tracks) :], strict=True))
        heard = sounding(named["loudness_db"])
        for name in ("loudness_db", "centroid_hz"):
            if name in named:
                found.setdefault(name, []).append(named[name][heard])
        if "f0_hz" in named:
            found.setdefault("f0_hz", []).append(named["f0_hz"][heard & voiced(named)])
    values = {name: np.concatenate(parts) for name, parts in found.items()}
    return {
        name: tuple(float(x) for x in np.quantile(of, SHARES))
        for name, of in values.items()
        if len(of)
    }


@dataclass(frozen=True, eq=False)
class Followed:
    """A sound that follows, and by how many semitones the recording was transposed."""

    sound: Shaped
    semitones: float


def followed(
    sound: Shaped, voice: Voice, tables: Tables, *, event: bool, transpose: float | None
) -> Followed:
    """`sound` as long as `voice`, which `sounds`, with its tracks in the place of its own.

    Of an `event` the first six frames stand where the voice begins, and what lies behind them is
    stretched; a texture that is too short goes back and forth. `transpose` is in semitones; None:
    whole octaves, so that the median f0 lies in the range of `tables`. Pitch is followed where the
    training recordings have one.
    """
    level = voice.tracks["loudness_db"]
    heard = sounding(level)
    made = sound.at(_places(sound, voice.n_frames, int(np.argmax(heard)), event=event))
    rows, semitones = made.rows, 0.0
    rows[made.row("loudness_db")] = mapped_loudness(level, tables["loudness_db"])
    if "f0_hz" in tables:
        octaves = voice.tracks["f0_hz"]
        semitones = semitones_into(voice, tables["f0_hz"]) if transpose is None else transpose
        own_f0 = _held(rows[made.row("f0_hz")], rows[made.row("confidence")] >= _SURE)
        rows[made.row("f0_hz")] = octaves + semitones / 12
        rows[made.row("confidence")] = voice.tracks["confidence"]
        new_f0 = _held(rows[made.row("f0_hz")], heard & voiced(voice.tracks))
        if own_f0 is not None and new_f0 is not None:
            moved = made.transposed_octaves + new_f0 - own_f0
            made = replace(made, transposed_octaves=moved)
    if "centroid_hz" in tables:
        table = tables["centroid_hz"]
        bright = mapped(voice.tracks["centroid_hz"], heard, table)
        own = float(np.clip(_own_brightness(sound, made, heard), table[0], table[-1]))
        bright += 0.5 * (own - float(np.median(bright[heard])))
        if "f0_hz" in tables:
            bright = above_f0(bright, rows[made.row("f0_hz")], voiced(voice.tracks), heard)
        rows[made.row("centroid_hz")] = bright
        made = replace(made, more_tilt_db=_MORE_TILT_DB)
    return Followed(made, semitones)


def _own_brightness(sound: Shaped, made: Shaped, heard: NDArray[np.bool_]) -> float:
    """The median centroid of `sound`, in octaves; of what is voiced as it is at the new pitch."""
    tracks = _named(sound)
    frames = sounding(tracks["loudness_db"])
    frames = frames if frames.any() else ~frames
    own = float(np.median(tracks["centroid_hz"][frames]))
    if float(np.mean(voiced(tracks)[frames])) < _SURE:
        return own
    new_f0 = float(np.median(_named(made)["f0_hz"][heard]))
    return own + new_f0 - float(np.median(tracks["f0_hz"][frames]))


def _held(f0: Array, sure: NDArray[np.bool_]) -> Array | None:
    """`f0` where it is sure, and between such frames that of the nearest; None without any."""
    if not sure.any():
        return None
    return from_nearest(torch.from_numpy(f0)[None], torch.from_numpy(sure)[None])[0].numpy()


def _named(sound: Shaped) -> dict[str, Array]:
    return {track: sound.rows[sound.row(track)] for track in sound.tracks}


def sounding(level_db: Array) -> NDArray[np.bool_]:
    """Which frames are within 40 dB of the loudest, and above -90 dB."""
    return level_db >= max(float(level_db.max()) - _SOUNDING_DB, _LEAST_DB)


def voiced(tracks: Mapping[str, Array]) -> NDArray[np.bool_]:
    """Which frames have a pitch."""
    return tracks["confidence"] >= _SURE


def above_f0(bright: Array, f0: Array, tonal: NDArray[np.bool_], heard: NDArray[np.bool_]) -> Array:
    """Centroids in octaves, of what is `tonal` not below what a tone of `f0` has at least.

    Where the lowest 5 % of those that are heard would lie below it, what they are above it is
    squeezed (to one half at most) and lifted, the highest 5 % staying where they are if they can:
    cut off, all dull frames would be equally dull.
    """
    above = bright - f0 - _ABOVE_F0
    if (tonal & heard).any():
        low, high = np.quantile(above[tonal & heard], (0.05, 0.95))
        if low < 0:
            above = (above - low) * max(_LEAST_SQUEEZE, high / (high - low))
    return np.where(tonal, f0 + _ABOVE_F0 + np.maximum(above, 0), bright)


def mapped_loudness(level_db: Array, table: Sequence[float]) -> Array:
    """`level_db` with the quantiles of `table`; 60 dB below the loudest, and below -90, silent."""
    gone = level_db < max(float(level_db.max()) - _GONE_DB, _LEAST_DB)
    return np.where(gone, _SILENT_DB, mapped(level_db, sounding(level_db), table))


def semitones_into(voice: Voice, table: Sequence[float]) -> float:
    """The fewest octaves, in semitones, that bring the median f0 into `table`; 0 without one."""
    heard = sounding(voice.tracks["loudness_db"]) & voiced(voice.tracks)
    if not heard.any():
        return 0.0
    return 12.0 * _octaves_into(float(np.median(voice.tracks["f0_hz"][heard])), table)


def mapped(values: Array, heard: NDArray[np.bool_], table: Sequence[float]) -> Array:
    """`values` with the quantiles of those that are `heard` brought to those of `table`.

    Outside of the quantiles a step stays as large as it is.
    """
    own, target = np.quantile(values[heard], SHARES), np.asarray(table)
    spread, wide = own[-1] - own[0], target[-1] - target[0]
    middle = target[len(target) // 2]
    target = middle + min(1.0, _MOST_STRETCH * spread / max(wide, 1e-9)) * (target - middle)
    inside = np.interp(values, own + 1e-9 * np.arange(len(own)), target)
    return inside + np.minimum(values - own[0], 0) + np.maximum(values - own[-1], 0)


def _octaves_into(middle: float, table: Sequence[float]) -> int:
    """The fewest octaves that bring `middle` into the table, or else nearest to its middle."""
    moves = sorted(range(-10, 11), key=abs)
    inside = [move for move in moves if table[0] <= middle + move <= table[-1]]
    centre = table[len(table) // 2]
    return inside[0] if inside else min(moves, key=lambda move: abs(middle + move - centre))


def _places(sound: Shaped, n_frames: int, begins: int, *, event: bool) -> Array:
    """The frames of `sound` that `n_frames` frames are made of; the voice `begins` in one."""
    frames = np.arange(n_frames, dtype=np.float64)
    last = sound.last_frame
    if event:
        first = sound.first_frame
        onset = min(_ONSET_FRAMES, max(last - first, 0))
        rest = max(n_frames - 1 - begins, onset + 1)
        end = min(last, first + rest)
        return np.interp(
            frames, [begins, begins + onset, begins + rest], [first, first + onset, end]
        )
    longest = max(sound.n_frames - 1, 1)
    return np.minimum(longest - np.abs(longest - frames % (2 * longest)), sound.n_frames - 1)
