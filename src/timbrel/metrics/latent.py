"""Use of the code: KL and variance of every dimension, and the decoder's dependence on the code.

Task: distinguish a code that holds information about the sound from one that has collapsed to the
prior (Bowman et al. 2016, section 3.1). Conventions: posterior means and KLs as
`(frame, dimension)` of frame codes and `(clip, dimension)` of clip codes, frames of all sounds in
one column; results list the frame code's dimensions first. Units: nats per frame; `decode_change`
is a ratio.
"""

import math
from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from timbrel.metrics.reconstruction import log_mel_l1
from timbrel.metrics.stereo import shares

ACTIVE_VARIANCE = 0.01
"""A dimension whose posterior mean varies more than this over the data is active."""

Table = NDArray[np.floating]
Signal = NDArray[np.float32]


def nats_per_dimension(frame_nats: Table, clip_nats: Table) -> NDArray[np.float64]:
    """KL of every dimension in nats per frame; they add up to the KL of the code.

    What a clip code costs is shared by the frames.

    >>> nats_per_dimension(np.array([[1.0, 0.5], [3.0, 0.5]]), np.array([[4.0]])).tolist()
    [2.0, 0.5, 2.0]
    """
    totals = np.concatenate([frame_nats.sum(0, np.float64), clip_nats.sum(0, np.float64)])
    return totals / max(len(frame_nats), 1)


def variances(frame_means: Table, clip_means: Table) -> NDArray[np.float64]:
    """The variance over the data of every dimension's posterior mean; nan of fewer than two rows.

    >>> variances(np.array([[1.0, 0.5], [3.0, 0.5]]), np.array([[4.0]])).tolist()
    [1.0, 0.0, nan]
    """
    return np.concatenate([_variance(frame_means), _variance(clip_means)])


def active(variance: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which dimensions are active units: variance above 0.01 (Burda et al. 2016, section 5)."""
    return np.nan_to_num(variance) > ACTIVE_VARIANCE


def active_units(variance: NDArray[np.float64]) -> float:
    """How many dimensions are active; nan where no variance is known.

    >>> active_units(np.array([1.0, 0.01, 0.02])), active_units(np.array([np.nan]))
    (2.0, nan)
    """
    return float(active(variance).sum()) if np.isfinite(variance).any() else math.nan


class DecodeChange:
    """How much a decoder's output changes when its code is replaced by another sound's.

    The log-mel distance of the two outputs over that of the two sounds, both summed over all pairs:
    0 where the decoder ignores the code, 1 of a perfect autoencoder. Each pair is compared over the
    shorter of its two sounds. All else that the decoder is given must stay as it was. Of two
    channels the views of outputs count as those of the sounds do: where a decoder drops the side,
    what differs in the side is missing.
    """

    def __init__(self, rate_hz: int) -> None:
        self.rate_hz = rate_hz
        self.of_outputs = self.of_sounds = 0.0

    def add(self, sounds: Sequence[Signal], outputs: Sequence[Signal]) -> None:
        """One pair of sounds, and the outputs of the first one's code and of the second's.

        All `(time)` or all `(channel, time)`.
        """
        n = min(audio.shape[-1] for audio in [*sounds, *outputs])
        one, other, output, changed = (np.atleast_2d(x)[:, :n] for x in (*sounds, *outputs))
        distance = partial(log_mel_l1, rate_hz=self.rate_hz, shares=shares(one, other))
        self.of_sounds += distance(one, other)
        self.of_outputs += distance(output, changed)

    @property
    def value(self) -> float:
        """The ratio; nan before two different sounds were compared."""
        return self.of_outputs / self.of_sounds if self.of_sounds > 0 else math.nan


def _variance(means: Table) -> NDArray[np.float64]:
    if len(means) < 2:
        return np.full(means.shape[1], math.nan)
    return means.astype(np.float64).var(0)
