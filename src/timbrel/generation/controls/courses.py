"""Moves of an axis over time, from curves."""

from collections.abc import Callable

import numpy as np

from timbrel.generation.controls.curves import Curve
from timbrel.generation.controls.operators import OPERATORS
from timbrel.generation.controls.shaped import Array, Shaped
from timbrel.generation.controls.varying import Varying


def course(
    curve: Curve, scale: Callable[[float], float], operator: str, start: float | None
) -> Varying:
    """The moves, in the unit of the axis, that `curve` asks for by `scale`.

    `start` is the sound's own value where the curve gives absolute values, else None. An operator
    that shifts a track moves each frame from the track's own value.
    """
    needs = OPERATORS[operator].needs if operator in OPERATORS else ()

    def moves(sound: Shaped, n_frames: int) -> Array:
        scaled = np.array([scale(value) for value in _values(curve, sound, n_frames)])
        if start is None:
            return scaled
        shifted = [track for track in needs if track in sound.tracks]
        return scaled - (sound.rows[sound.row(shifted[0])] if shifted else start)

    return moves


def family_course(curve: Curve, reach: tuple[float, float]) -> Varying:
    """The moves of values from -1 to 1: by a slider's whole `reach` down or up."""

    def moves(sound: Shaped, n_frames: int) -> Array:
        values = _values(curve, sound, n_frames)
        return np.where(values > 0, values * reach[1], -values * reach[0])

    return moves


def _values(curve: Curve, sound: Shaped, n_frames: int) -> Array:
    return curve.at((np.arange(n_frames) + 0.5) * sound.frame_s)
