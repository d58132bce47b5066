"""The tracks of a recording as a model of other recordings shall play them.

Pitch is transposed as a whole, and brightness goes along. What is mapped has the quantiles of the
training recordings afterwards. The code stays that of the recording, or is moved as a whole, so
that its mean is theirs.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from timbrel.contracts import Conditions, Latent
from timbrel.generation.controls.follow import (
    Tables,
    Voice,
    above_f0,
    mapped,
    mapped_loudness,
    semitones_into,
    sounding,
    voiced,
)
from timbrel.generation.controls.shaped import Array
from timbrel.generation.prior.bank import Bank
from timbrel.generation.source import LatentSource
from timbrel.generation.tracks import latent_of

_CENTROID_SHARE = 0.8  # how far brightness goes with pitch: the slope over notes of instruments
_ABOVE_F0 = 0.2  # octaves: no tone's centroid lies lower, but for a sound that has it lower


@dataclass(frozen=True)
class Fit:
    """How tracks are changed: by semitones (None: octaves), and which are mapped by quantiles."""

    transpose: float | None = 0.0
    match_loudness: bool = False
    match_brightness: bool = False
    match_pitch: bool = False

    @property
    def needed(self) -> tuple[str, ...]:
        """The tables that it reads."""
        pitch = self.match_pitch or self.transpose is None
        wanted = (self.match_loudness, self.match_brightness, pitch)
        names = ("loudness_db", "centroid_hz", "f0_hz")
        return tuple(name for name, want in zip(names, wanted, strict=True) if want)


@dataclass(frozen=True, eq=False)
class Fitted:
    """The tracks of a recording, changed, and by how many semitones it was transposed."""

    voice: Voice
    semitones: float
    transposed_octaves: Array


def fitted(voice: Voice, fit: Fit, tables: Tables) -> Fitted:
    """`voice` with its tracks as `fit` says; `tables` has those that it needs.

    With `match_loudness` frames more than 60 dB below the loudest are silent. With `match_pitch` f0
    is mapped only where, transposed, its 5 to 95 % leave the range of the table. Silence stays as
    it is.
    """
    if not voice.sounds:
        return Fitted(voice, 0.0, np.zeros(voice.n_frames))
    tracks, level = dict(voice.tracks), voice.tracks["loudness_db"]
    heard = sounding(level)
    semitones, f0 = 0.0, tracks.get("f0_hz")
    if f0 is not None:
        asked = fit.transpose
        semitones = semitones_into(voice, tables["f0_hz"]) if asked is None else asked
        tracks["f0_hz"] = f0 + semitones / 12
        if fit.match_pitch and (heard & voiced(tracks)).any():
            tracks["f0_hz"] = _into(tracks["f0_hz"], heard & voiced(tracks), tables["f0_hz"])
    bright = tracks.get("centroid_hz")
    if bright is not None:
        if fit.match_brightness:
            bright = mapped(bright, heard, tables["centroid_hz"])
            if f0 is not None:
                bright = above_f0(bright, tracks["f0_hz"], voiced(tracks), heard)
        elif f0 is not None:
            bright = brightness_along(bright, f0, tracks["f0_hz"] - f0)
        tracks["centroid_hz"] = bright
    if fit.match_loudness:
        tracks["loudness_db"] = mapped_loudness(level, tables["loudness_db"])
    moved = np.zeros(voice.n_frames) if f0 is None else tracks["f0_hz"] - f0
    return Fitted(replace(voice, tracks=tracks), semitones, moved)


def brightness_along(centroid: Array, f0: Array, octaves: Array) -> Array:
    """The centroid of a sound whose f0 moves by `octaves`, all in octaves per frame.

    >>> brightness_along(np.array([10.0, 8.1]), np.array([8.0, 8.0]), np.array([1.0, 1.0])).tolist()
    [10.8, 9.1]
    """
    above = np.minimum(centroid - f0, _ABOVE_F0)
    return np.maximum(centroid + _CENTROID_SHARE * octaves, f0 + octaves + above)


def _into(f0: Array, known: Array, table: tuple[float, ...]) -> Array:
    """`f0` mapped to `table`, or as it is where its own 5 to 95 % lie in there."""
    low, high = np.quantile(f0[known], (0.05, 0.95))
    return f0 if table[0] <= low and high <= table[-1] else mapped(f0, known, table)


def conditions_of(made: Fitted) -> Conditions:
    """What a decoder is given of it (batch 1)."""
    rows = torch.from_numpy(np.stack(list(made.voice.tracks.values()))).float()[None]
    given = latent_of(rows, torch.zeros(1, 0), tuple(made.voice.tracks)).conditions
    if made.transposed_octaves.any():
        moved = torch.from_numpy(made.transposed_octaves).float()[None]
        given = replace(given, transposed_octaves=moved)
    return given


@dataclass(frozen=True, eq=False)
class MeanCode:
    """The mean of frame codes (latent,) and of clip codes (clip_latent,)."""

    frames: Tensor
    clip: Tensor


def mean_of_recordings(bank: Bank) -> MeanCode:
    """The mean over all frames of the recordings that sound, and over their clip codes."""
    level, width = bank.tracks.index("loudness_db"), -len(bank.tracks)
    heard = [
        clip.rows[:width, sounding(clip.rows[width + level].astype(np.float64))]
        for clip in bank.recordings
    ]
    frames = np.concatenate(heard, axis=1).mean(1, dtype=np.float64)
    clips = np.mean([clip.clip_code for clip in bank.recordings], axis=0, dtype=np.float64)
    return MeanCode(torch.from_numpy(frames), torch.from_numpy(clips))


def moved_to(target: MeanCode, source: LatentSource, heard: NDArray[np.bool_]) -> MeanCode:
    """What brings the mean over the frames of `source` that are `heard` to `target`.

    `frames` is to be added to every frame; `clip` is the clip code in the place of its own.
    """
    total, first = torch.zeros_like(target.frames), 0
    for latent in source.blocks():
        chosen = torch.from_numpy(heard[first : first + latent.n_frames])
        total += latent.frames[0][:, chosen].double().sum(1)
        first += latent.n_frames
    return MeanCode(target.frames - total / max(1, int(heard.sum())), target.clip)


class FittedSource:
    """`source` with the tracks `conditions` of all its frames, and its code moved by `move`."""

    def __init__(
        self, source: LatentSource, conditions: Conditions, move: MeanCode | None = None
    ) -> None:
        self.source = source
        self.conditions = conditions
        self.move = move

    @property
    def n_samples(self) -> int:
        """As many as `source` has."""
        return self.source.n_samples

    def blocks(self) -> Iterator[Latent]:
        """The blocks of `source`."""
        first = 0
        for latent in self.source.blocks():
            last = first + latent.n_frames
            made = replace(latent, conditions=self.conditions.cut(first, last))
            if self.move is not None:
                frames = made.frames + self.move.frames.float()[:, None]
                made = replace(made, frames=frames, clip=self.move.clip.float()[None])
            yield made
            first = last
