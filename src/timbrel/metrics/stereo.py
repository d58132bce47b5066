"""What is compared of two channels: mid, side, left and right, each by its share of the original.

Mid and side, because a mix of both channels holds no side at all. Left and right as well, because
the magnitudes of mid and side stay as they are where left and right are exchanged. Each view counts
by its RMS in the original: a very weak side counts very little, however large the differences of
its logarithms are, and a recording without a side has the scores of its mid. The RMS and not the
power, by which a side 20 dB below the mid, plain to hear, would be a hundredth of a score. A side
that a model adds to such a recording shows in left and right, the SI-SDR and the width.

Audio is `(channel, time)`, one channel or two. Of one channel there is one view: the channel.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from timbrel.attributes.space import width
from timbrel.dsp.mid_side import mid_side

Signal = NDArray[np.float32]


def rotated(audio: Signal) -> Signal:
    """`dsp.mid_side.mid_side` of an array."""
    return mid_side(torch.from_numpy(np.ascontiguousarray(audio))).numpy()


def views(audio: Signal) -> list[Signal]:
    """`(time)` of the one channel, or of mid, side, left and right."""
    return [*audio] if len(audio) == 1 else [*rotated(audio), *audio]


def shares(*originals: Signal) -> NDArray[np.float64]:
    """What each view of these sounds counts for; the shares sum to 1.

    Mid and side share one half by their RMS, left and right the other. Of silence all count alike.

    >>> shares(np.array([[1.0, -1.0], [0.6, -0.6]], np.float32)).round(3).tolist()
    [0.4, 0.1, 0.312, 0.188]
    """
    if len(originals[0]) == 1:
        return np.ones(1)
    energy = np.sum([[_energy(view) for view in views(audio)] for audio in originals], axis=0)
    pairs = np.sqrt(energy).reshape(2, 2)  # mid side, left right
    totals = pairs.sum(1, keepdims=True)
    return 0.5 * np.divide(pairs, totals, out=np.full((2, 2), 0.5), where=totals > 0).ravel()


def width_error(reference: Signal, reconstruction: Signal) -> float | None:
    """Absolute difference of the two widths, S / (M + S) of the RMS (`attributes.space.width`).

    None of mono, and of a silent reference, which has no width. A silent reconstruction counts as
    mono.

    >>> left = np.array([[1.0, -1.0], [0.0, 0.0]], np.float32)
    >>> round(width_error(left, left[::-1]), 3), round(width_error(left, left[[0, 0]]), 3)
    (0.0, 0.5)
    """
    if len(reference) != 2 or not reference.any():
        return None
    return abs(width(reconstruction) - width(reference))


def _energy(view: Signal) -> float:
    return float(np.einsum("i,i->", view, view, dtype=np.float64))
