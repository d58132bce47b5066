"""Directions of the code that move one axis and leave the others, by what decoded audio tells.

Finite differences: every leading component of the code is moved a little, evenly over the sound and
from less to more of it, decoded and measured.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from timbrel.attributes.measurement import measure
from timbrel.generation.controls.apply import Playable
from timbrel.generation.controls.shaped import COURSES
from timbrel.metrics.sliders import PLACE, on_axes

Array = NDArray[np.float64]

ANCHORS = 3
_DAMPING = 0.3
_MOVED = "moved"


def responses_to(anchors: Sequence[Playable], components: Array, spread: Array) -> Array:
    """Spreads by which every axis moves, `(anchor, course, component, axis)`; nan where undefined.

    `components` (component, unit) are moved by one either way, in each of `shaped.COURSES`.
    """
    found = np.full((len(anchors), len(COURSES), len(components), len(spread)), np.nan)
    for i, anchor in enumerate(anchors):
        for j in range(len(COURSES)):
            for k, component in enumerate(components):
                direction = np.zeros((len(COURSES), len(component)))
                direction[j] = component
                low, high = (
                    on_axes(
                        measure(
                            anchor.moved({_MOVED: amount}, {_MOVED: direction}),
                            anchor.model.sample_rate_hz,
                        )
                    )
                    for amount in (-1.0, 1.0)
                )
                found[i, j, k] = (high - low) / 2 / spread
    return found


def direction_along(responses: Array, components: Array, axis: str) -> Array | None:
    """The direction (course, unit) of length 1 in components that moves `axis` most by itself.

    Damped least squares over anchors: the axis moves by a spread, all others by none. None where no
    anchor has the axis, or nothing moves it.
    """
    target = PLACE[axis]
    n_courses, n_components = responses.shape[1:3]
    rows = responses.transpose(0, 3, 1, 2).reshape(-1, n_courses * n_components)
    wanted = np.tile(np.eye(responses.shape[3])[target], len(responses))
    known = np.isfinite(rows).all(1)
    if not (known & (wanted > 0)).any():
        return None
    rows, wanted = rows[known], wanted[known]
    damped = rows.T @ rows + _DAMPING**2 * len(responses) * np.eye(rows.shape[1])
    weights = np.linalg.solve(damped, rows.T @ wanted)
    length = float(np.linalg.norm(weights))
    if not length > 0:
        return None
    return (weights / length).reshape(n_courses, n_components) @ components
