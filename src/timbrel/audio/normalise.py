"""One level for every file: the gain that brings a recording there."""

from collections.abc import Callable, Iterable
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from timbrel.audio.level import LoudnessMeter, TruePeakMeter

Normalise = Literal["none", "peak", "loudness"]
CEILING_DBTP = -1.0
LOUDNESS_LUFS = -23.0  # EBU R 128's programme level
SILENT_PEAK = 1e-5
"""Recordings that peak at or below -100 dBFS are left as they are: raised, they would be noise."""


def level_gain(
    blocks: Callable[[], Iterable[NDArray[np.float32]]],
    *,
    rate_hz: int,
    channels: int,
    normalise: str,
) -> float:
    """The factor that brings a recording to the level that `normalise` names.

    `peak` means a true peak of -1 dBTP, `loudness` -23 LUFS or, where that is less, a true peak of
    -1 dBTP; `none` and silence give 1. Each call of `blocks` gives the recording from its start,
    as blocks `(time, channel)`. Raises ValueError for another name.
    """
    if normalise not in get_args(Normalise):
        raise ValueError(f"normalise={normalise!r} is none of {', '.join(get_args(Normalise))}")
    if normalise == "none":
        return 1.0
    true_peak = TruePeakMeter(channels)
    for block in blocks():
        true_peak.update(block.T)
    if true_peak.peak <= SILENT_PEAK:
        return 1.0
    to_ceiling = 10 ** (CEILING_DBTP / 20) / true_peak.peak
    if normalise == "peak":
        return to_ceiling
    # At the ceiling, because the meter's gate leaves out what is below -70 LUFS.
    loudness = LoudnessMeter(rate_hz, channels)
    for block in blocks():
        loudness.update(block.T * np.float32(to_ceiling))
    return to_ceiling * 10 ** (min(LOUDNESS_LUFS - loudness.lufs, 0.0) / 20)
