"""Amounts that change from frame to frame."""

from collections.abc import Callable

import numpy as np

from timbrel.generation.controls.shaped import Array, Shaped

Varying = Callable[[Shaped, int], Array]
"""The values of the first n frames of a sound, as it is when they are asked for."""

Amount = float | Varying
"""A number for the whole sound, or values that vary."""


def on(amount: Amount, sound: Shaped, n_frames: int | None = None) -> float | Array:
    """The number, or the values of the first `n_frames` (default: all) of `sound`."""
    if not callable(amount):
        return amount
    return amount(sound, sound.n_frames if n_frames is None else n_frames)


def added(first: Amount, second: Amount) -> Amount:
    """The sum of two amounts."""
    if not callable(first) and not callable(second):
        return first + second
    return lambda sound, n_frames: np.asarray(
        on(first, sound, n_frames) + on(second, sound, n_frames)
    )


def through(amount: Amount, function: Callable[..., float | Array]) -> Amount:
    """`function` of an amount."""
    if not callable(amount):
        return float(function(amount))
    return lambda sound, n_frames: np.asarray(function(amount(sound, n_frames)))
