"""The tracks of a recording as a model of other recordings shall play them.

Pitch is transposed as a whole, and brightness goes along. What is mapped has the quantiles of the
training recordings afterwards. The code stays that of the recording.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

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


def fitted(voice: Voice, fit: Fit, tables: Tables) -> Fitted:
    """`voice` with its tracks as `fit` says; `tables` has those that it needs.

    With `match_loudness` frames more than 60 dB below the loudest are silent. With `match_pitch` f0
    is mapped only where, transposed, its 5 to 95 % leave the range of the table. Silence stays as
    it is.
    """
    if not voice.sounds:
        return Fitted(voice, 0.0)
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
                bright = above_f0(bright, tracks["f0_hz"], voiced(tracks))
        elif f0 is not None:
            bright = brightness_along(bright, f0, tracks["f0_hz"] - f0)
        tracks["centroid_hz"] = bright
    if fit.match_loudness:
        tracks["loudness_db"] = mapped_loudness(level, tables["loudness_db"])
    return Fitted(replace(voice, tracks=tracks), semitones)


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


def conditions_of_voice(voice: Voice) -> Conditions:
    """The tracks of `voice` as a decoder takes them (batch 1)."""
    rows = torch.from_numpy(np.stack(list(voice.tracks.values()))).float()[None]
    return latent_of(rows, torch.zeros(1, 0), tuple(voice.tracks)).conditions


class FittedSource:
    """`source` with the tracks `conditions` of all its frames in the place of its own."""

    def __init__(self, source: LatentSource, conditions: Conditions) -> None:
        self.source = source
        self.conditions = conditions

    @property
    def n_samples(self) -> int:
        """As many as `source` has."""
        return self.source.n_samples

    def blocks(self) -> Iterator[Latent]:
        """The blocks of `source`."""
        first = 0
        for latent in self.source.blocks():
            last = first + latent.n_frames
            yield replace(latent, conditions=self.conditions.cut(first, last))
            first = last
