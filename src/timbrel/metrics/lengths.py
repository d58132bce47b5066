"""Signals of the same length, for scores that compare them."""

import numpy as np
from numpy.typing import NDArray

Signal = NDArray[np.floating]


def of_length(audio: Signal, n: int) -> Signal:
    """`audio`, `(channel, time)`, cut or zero-padded to `n` samples.

    >>> of_length(np.ones((1, 2)), 3).tolist(), of_length(np.ones((1, 2)), 1).tolist()
    ([[1.0, 1.0, 0.0]], [[1.0]])
    """
    return np.pad(audio[:, :n], ((0, 0), (0, max(0, n - audio.shape[1]))))
