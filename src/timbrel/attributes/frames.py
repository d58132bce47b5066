"""The grid of frames that every attribute shares, and which of them sound.

What a clip is like is told by the frames within 40 dB of its loudest. The end of a note is heard
far beyond that, so a frame by itself has a pitch and a colour down to 80 dB below.

A frame every 10 ms; frame `t` is centred on the middle of its own hop, as in `timbrel.dsp.stft`,
and the outermost windows reach into zeros. Audio is `(channel, time)` throughout.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

HOP_S = 0.01
ACTIVE_DB = 40.0
AUDIBLE_DB = 80.0
SILENT_DBFS = -90.0
LOUDEST = 1e6
_BLOCK_FRAMES, _BLOCK_SAMPLES = 256, 1 << 20

Signal = NDArray[np.floating]
Values = NDArray[np.float64]
Mask = NDArray[np.bool_]


def hop_of(rate_hz: int) -> int:
    """Samples per frame.

    >>> hop_of(48_000)
    480
    """
    return max(1, round(HOP_S * rate_hz))


def frame_count(samples: int, rate_hz: int) -> int:
    """How many frames a clip has: one per hop begun, never fewer than one."""
    return max(1, -(-samples // hop_of(rate_hz)))


def framed(
    audio: Signal, rate_hz: int, window: int, *, centre: int | None = None
) -> Iterator[NDArray[np.floating]]:
    """The frames in order, `(channel, frame, window)`, in blocks that fit the memory.

    `centre` is the sample of the window that lies on the frame's middle (its own middle if None).
    """
    hop = hop_of(rate_hz)
    frames = frame_count(audio.shape[1], rate_hz)
    before = (window // 2 if centre is None else centre) - hop // 2
    at_once = max(1, min(_BLOCK_FRAMES, _BLOCK_SAMPLES // window))
    for first in range(0, frames, at_once):
        count = min(at_once, frames - first)
        start = first * hop - before
        stop = start + (count - 1) * hop + window
        inside = audio[:, max(0, start) : max(0, stop)]
        edges = (max(0, -start), max(0, stop - max(0, start) - inside.shape[1]))
        padded = np.pad(inside, ((0, 0), edges))
        yield np.lib.stride_tricks.sliding_window_view(padded, window, axis=1)[:, ::hop]


def active(level_db: Values) -> Mask:
    """Frames within 40 dB of the loudest, and above -90 dBFS."""
    return _within(level_db, ACTIVE_DB)


def audible(level_db: Values) -> Mask:
    """Frames within 80 dB of the loudest, and above -90 dBFS."""
    return _within(level_db, AUDIBLE_DB)


def _within(level_db: Values, most_db: float) -> Mask:
    return level_db > max(float(level_db.max(initial=-np.inf)) - most_db, SILENT_DBFS)


def as_numbers(audio: Signal) -> Signal:
    """`audio` with 0 for samples that are not finite, clipped at 120 dBFS.

    Squares of larger samples would overflow.
    """
    finite = np.nan_to_num(audio, nan=0.0, posinf=0.0, neginf=0.0)
    return np.clip(finite, -LOUDEST, LOUDEST, out=finite)


def without_dc(audio: Signal, rate_hz: int) -> NDArray[np.float32]:
    """`audio` above 20 Hz (Butterworth, second order): a constant offset is removed.

    The mean is subtracted first: otherwise the clip would begin with the filter's response to the
    offset. Samples are taken `as_numbers`.
    """
    # scipy.signal takes a second to import; only whoever measures pays it.
    from scipy.signal import butter, sosfilt

    finite = as_numbers(audio.astype(np.float64))
    if not finite.shape[1] or rate_hz <= 80:
        return finite.astype(np.float32)
    finite -= finite.mean(1, keepdims=True)
    sections = butter(2, 20.0, "highpass", fs=rate_hz, output="sos")
    return np.asarray(sosfilt(sections, finite, axis=1), np.float32)
