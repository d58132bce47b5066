"""When sounds begin: peaks of the spectral flux (Bello et al. 2005, section III.A.4)."""

import numpy as np
from numpy.typing import NDArray

from timbrel.attributes.frames import HOP_S, Mask, Values

# Half of the analysis window: closer to an end than this, a frame reaches into zeros.
_EDGE_FRAMES = 3
_RISE_FRAMES = 3
_FLOOR_DB = 60.0
_BESIDE_S, _AROUND_S = 0.05, 0.1
_LEAST_FLUX_DB = 2.5


def onset_frames(mel_db: Values, sounding: Mask, *, from_start: bool) -> NDArray[np.intp]:
    """The frames at which a sound begins, of mel levels in dB, `(frame, band)`, every 10 ms.

    The flux is the mean over bands of what a level rises by within 30 ms; levels end 60 dB
    below the clip's greatest, so that nothing depends on gain. An onset is its maximum within
    50 ms, 2.5 dB above its mean within 100 ms. With `from_start` the clip is preceded by silence;
    without, what begins in its first 30 ms is not told from what went on before.
    """
    if not sounding.any():
        return np.zeros(0, np.intp)
    level = np.maximum(mel_db, mel_db.max() - _FLOOR_DB)
    ahead = np.full((1, level.shape[1]), level.max() - _FLOOR_DB) if from_start else level[:1]
    earlier = np.concatenate([np.repeat(ahead, _RISE_FRAMES, 0), level])[: len(level)]
    flux = np.maximum(level - earlier, 0.0).mean(1)
    if not from_start:
        flux[:_EDGE_FRAMES] = 0.0
    if len(flux) > 2 * _EDGE_FRAMES:
        # A tone that is cut off clicks: in the window, not in the recording.
        flux[-_EDGE_FRAMES:] = 0.0
    beside, around = round(_BESIDE_S / HOP_S), round(_AROUND_S / HOP_S)
    padded = np.pad(flux, around)
    near = np.lib.stride_tricks.sliding_window_view(padded, 2 * around + 1)
    highest = near[:, around - beside : around + beside + 1].max(1)
    peaks = (flux >= highest) & (flux > near.mean(1) + _LEAST_FLUX_DB)
    found = np.flatnonzero(peaks)
    return found[np.diff(found, prepend=-beside - 1) > beside]
