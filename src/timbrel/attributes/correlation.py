"""The normalised correlation of a window and what follows it, between whole lags too."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from timbrel.attributes.frames import Values

SIDE = 9
"""Taps to either side of a lag at which a correlation is interpolated."""

STEPS = np.linspace(-1.0, 1.0, 9)
"""From a whole lag, in samples: where the correlation around it is looked at."""


def energy_of(square: Values, window: int, lags: int) -> Values:
    """The sums of `window` values from each of the first `lags` on, of `(frame, time)`.

    >>> energy_of(np.arange(6.0)[None], 3, 3)
    array([[3., 6., 9.]])
    """
    change = square[:, window : window + lags - 1] - square[:, : lags - 1]
    return np.cumsum(np.concatenate([square[:, :window].sum(1, keepdims=True), change], 1), 1)


def normalised(correlation: Values, product: Values) -> Values:
    """`correlation` over the root of the `product` of both windows' energies."""
    root = np.sqrt(np.maximum(product, 0.0))
    return np.divide(correlation, root, out=np.zeros_like(product), where=root > 0)


def between(values: Values, base: NDArray[np.intp]) -> Values:
    """`values`, `(frame, lag)`, at `STEPS` from the lag `base` of every frame: `(frame, step)`."""
    taps = np.arange(-SIDE, SIDE + 1)
    return np.take_along_axis(values, base[:, None] + taps, 1) @ _kernel()


@cache
def _kernel() -> Values:
    """The weight of every tap at every step, `(tap, step)`: a windowed sinc."""
    taps = np.arange(-SIDE, SIDE + 1)[:, None]
    kernel = np.sinc(taps - STEPS) * np.kaiser(2 * SIDE + 1, 6.0)[:, None]
    return np.asarray(kernel / kernel.sum(0), np.float64)


def peak(r: Values) -> tuple[Values, Values]:
    """Where within `STEPS` each row of `r` is greatest, in samples, and how great: a parabola."""
    best = np.clip(r.argmax(1), 1, len(STEPS) - 2)[:, None]
    left, middle, right = (np.take_along_axis(r, best + side, 1)[:, 0] for side in (-1, 0, 1))
    bend = left - 2 * middle + right
    offset = np.divide(0.5 * (left - right), bend, out=np.zeros_like(bend), where=bend < 0)
    offset = np.clip(offset, -1.0, 1.0)
    top = middle - 0.25 * (left - right) * offset
    return STEPS[best[:, 0]] + offset * (STEPS[1] - STEPS[0]), top
