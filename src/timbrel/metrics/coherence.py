"""Whether the pieces of one texture belong together, as those of one recording do."""

import numpy as np
from numpy.typing import NDArray


def within_share(pieces: NDArray[np.float64]) -> float:
    """The share of the variance that lies within clips, of points `(clip, piece, dimension)`.

    0 where every clip stays what it is and clips differ, near 1 where every piece is drawn anew,
    whichever clip it is in. 1, too, where nothing differs.

    >>> within_share(np.array([[[0.0], [0.0]], [[2.0], [2.0]]]))
    0.0
    >>> within_share(np.array([[[0.0], [2.0]], [[0.0], [2.0]]]))
    1.0
    """
    total = float(np.square(pieces - pieces.mean((0, 1))).mean((0, 1)).sum())
    within = float(np.square(pieces - pieces.mean(1, keepdims=True)).mean((0, 1)).sum())
    return within / total if total > 1e-12 else 1.0
