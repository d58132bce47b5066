"""A map of sounds: recordings and new sounds on the plane in which recordings differ most.

A sound's place is the mean of its code over frames, with its clip code, on the first two principal
components of the training recordings' codes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from timbrel.analysis.evaluation import write_csv, write_wav
from timbrel.audio.resample import resample
from timbrel.metrics.sliders import AXES

HEARD_S = 1.0
"""So much of each sound is kept to be heard, in mono, at half the rate."""
NEW = "new"
"""The kind of sounds that a prior drew; other kinds are the parts of the recordings."""

_AUDIBLE_DB = -40.0

Codes = NDArray[np.float64]
Audio = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Placed:
    """A sound for the map: its kind and name, its code `(unit)`, its values on `AXES`.

    `excerpt`, `(1, time)`, is what is heard of it, at `rate_hz`.
    """

    kind: str
    name: str
    code: Codes
    values: NDArray[np.float64]
    excerpt: Audio
    rate_hz: int


def excerpt_of(audio: Audio, rate_hz: int) -> tuple[Audio, int]:
    """The first second, mono and at half the rate, from where `audio` `(channel, time)` sounds.

    It sounds from the first sample on that is within 40 dB of its peak.
    """
    mono = audio.mean(0, keepdims=True)
    loud = np.abs(mono[0]) >= np.abs(mono[0]).max(initial=0.0) * 10 ** (_AUDIBLE_DB / 20)
    first = int(loud.argmax()) if loud.size else 0
    kept = mono[:, first : first + round(HEARD_S * rate_hz)]
    return resample(np.ascontiguousarray(kept), rate_hz, rate_hz // 2), rate_hz // 2


def principal_plane(reference: Codes, codes: Codes) -> tuple[Codes, tuple[float, float]]:
    """`codes`, `(sound, unit)`, on the first two principal components of `reference`: `(sound, 2)`.

    And the share of the variance of `reference` that each of the two has. The sign of a component
    is such that its largest weight is positive.

    >>> plane, shares = principal_plane(np.diag([3.0, 1.0]), np.eye(2))
    >>> shares
    (1.0, 0.0)
    """
    centre = reference.mean(0)
    _, singular, rows = np.linalg.svd(reference - centre, full_matrices=False)
    variance = np.square(singular)
    places, shares = np.zeros((len(codes), 2)), [0.0, 0.0]
    for index, (row, own) in enumerate(zip(rows[:2], variance[:2], strict=True)):
        if own > 1e-12 * max(1.0, variance.sum()):
            places[:, index] = (codes - centre) @ (row * np.sign(row[np.abs(row).argmax()]))
            shares[index] = float(own / variance.sum())
    return places, (shares[0], shares[1])


def write_map(folder: Path, sounds: Sequence[Placed], reference: Codes) -> None:
    """Write `map.csv`, `map_axes.csv` and what is heard of each sound, `map/<row>.wav`.

    `reference` are the codes of the training recordings, which make the plane.
    """
    places, shares = principal_plane(reference, np.stack([sound.code for sound in sounds]))
    rows = []
    for index, (sound, place) in enumerate(zip(sounds, places, strict=True)):
        file = f"map/{index:03d}.wav"
        made = "prior" if sound.kind == NEW else None
        write_wav(folder / file, sound.excerpt, sound.rate_hz, made=made)
        rows.append([sound.kind, sound.name, *map(float, place), *map(float, sound.values), file])
    heads = ["kind", "name", "x", "y", *(axis.name for axis in AXES), "sound"]
    write_csv(folder / "map.csv", heads, rows)
    write_csv(folder / "map_axes.csv", ["axis", "share"], zip("xy", shares, strict=True))
