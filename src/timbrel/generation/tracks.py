"""A code and its tracks as the rows of one matrix: what moments and straight lines are taken of.

What is in hertz is in octaves above 1 Hz there, so that equal steps are equal to the ear.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from timbrel.contracts import Conditions, Latent

_LEAST_HZ = 1.0
# What a recording can have: a drawn track may leave it, and a level of 90 dB is a burst.
_BOUNDS = {
    "f0_hz": (_LEAST_HZ, 24_000.0),
    "confidence": (0.0, 1.0),
    "loudness_db": (-math.inf, 4.0),
    "centroid_hz": (_LEAST_HZ, 96_000.0),
    "hnr_db": (-20.0, 40.0),
}


def rows_of(latent: Latent) -> Float[Tensor, "batch row frame"]:
    """The frame codes, and below them a row for each of the code's tracks."""
    tracks = latent.conditions.tracks
    rows = [_up(name, track)[:, None] for name, track in tracks.items()]
    return torch.cat([latent.frames, *rows], dim=1)


def latent_of(
    rows: Float[Tensor, "batch row frame"],
    clip: Float[Tensor, "batch clip_latent"],
    tracks: Sequence[str],
) -> Latent:
    """The code whose `rows_of` are `rows`; `tracks` names the last of them."""
    width = rows.shape[1] - len(tracks)
    made = {name: _down(name, rows[:, width + i]) for i, name in enumerate(tracks)}
    return Latent(rows[:, :width], clip, Conditions(**made))


def at_places(rows: NDArray[np.float64], places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows at places between their frames, on straight lines.

    >>> at_places(np.array([[0.0, 1.0, 3.0]]), np.array([0.5, 1.5, 2.0])).tolist()
    [[0.5, 2.0, 3.0]]
    """
    left = np.clip(np.floor(places).astype(int), 0, rows.shape[1] - 1)
    right = np.minimum(left + 1, rows.shape[1] - 1)
    return rows[:, left] + (places - left) * (rows[:, right] - rows[:, left])


def _up(name: str, track: Tensor) -> Tensor:
    return track.clamp_min(_LEAST_HZ).log2() if name.endswith("_hz") else track


def _down(name: str, row: Tensor) -> Tensor:
    return (row.exp2() if name.endswith("_hz") else row).clamp(*_BOUNDS[name])
