"""What the inspect page needs beyond the catalog: envelope, RMS level and brightness of a file."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from timbrel.audio.read import blocks_of, open_sound
from timbrel.errors import UserError

logger = logging.getLogger(__name__)

POINTS = 120
_WINDOW = 2048
_SEGMENTS = 4 * POINTS
# Brightness needs no more than this many windows, spread evenly over each block of a megabyte.
_WINDOWS_PER_BLOCK = 64


@dataclass(frozen=True)
class Look:
    """`envelope` is `(2, points)`: least and greatest sample of all channels; `rms` of all samples.

    `centroid_hz` is nan for silence.
    """

    envelope: NDArray[np.float32]
    rms: float
    centroid_hz: float


def look(path: Path, n_samples: int) -> Look | None:
    """One pass over a file of about `n_samples` samples, in constant memory; None if unreadable.

    The centroid is the mean frequency of the magnitude spectrum (Hann, 2,048 samples) of all
    windows together, so that loud passages count for more; at most 64 windows of every block of
    262,144 samples are looked at.
    """
    hop = max(1, -(-n_samples // _SEGMENTS))
    parts: list[NDArray[np.float32]] = []
    spectrum = np.zeros(_WINDOW // 2 + 1)
    energy, samples = 0.0, 0
    rest = np.zeros((2, 0), np.float32)
    try:
        with open_sound(path) as sound:
            rate_hz = sound.header.rate_hz
            for block in blocks_of(sound):
                block = np.nan_to_num(block, nan=0.0, posinf=0.0, neginf=0.0)
                energy += float(np.einsum("tc,tc->", block, block, dtype=np.float64))
                samples += block.size
                # Channel by channel: the mean of two in antiphase would be nothing.
                for channel in block.T[:2]:
                    spectrum += _magnitudes(channel)
                joined = np.concatenate([rest, np.stack([block.min(1), block.max(1)])], axis=1)
                whole = joined.shape[1] // hop * hop
                rest = joined[:, whole:]
                parts.append(_least_and_greatest(joined[:, :whole].reshape(2, -1, hop)))
    except UserError:
        pass  # what could be decoded until then is shown
    if not samples:
        return None
    if rest.shape[1]:
        parts.append(_least_and_greatest(rest[:, None]))
    hz = np.arange(len(spectrum)) * rate_hz / _WINDOW
    total = float(spectrum.sum())
    centroid_hz = float(hz @ spectrum / total) if total > 0 else float("nan")
    envelope = _coarse(np.concatenate(parts, axis=1))
    return Look(envelope, float(np.sqrt(energy / samples)), centroid_hz)


def look_at_all(
    files: Sequence[tuple[Path, int]],
    *,
    threads: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> list[Look | None]:
    """`look` at pairs of path and length in samples, in threads (decoding releases the lock).

    None, and a line in the log, where looking at a file fails.
    """

    def looked(file: tuple[Path, int]) -> Look | None:
        try:
            return look(*file)
        except Exception as error:  # one file's fault, such as no memory, is no other's
            logger.warning("'%s' is not shown (%s: %s)", file[0], type(error).__name__, error)
            return None

    looks: list[Look | None] = []
    with ThreadPoolExecutor(max(1, threads)) as pool:
        for found in pool.map(looked, files):
            looks.append(found)
            if progress:
                progress(len(looks), len(files))
    return looks


def _magnitudes(signal: NDArray[np.float32]) -> NDArray[np.float64]:
    """The summed magnitude spectra of windows spread over `signal`."""
    padded = np.pad(signal, (0, max(0, _WINDOW - len(signal))))
    last = len(padded) - _WINDOW
    count = min(_WINDOWS_PER_BLOCK, 1 + last // (_WINDOW // 2))
    starts = np.linspace(0, last, count).astype(int)
    frames = np.stack([padded[start : start + _WINDOW] for start in starts])
    window = np.hanning(_WINDOW + 1)[:-1].astype(np.float32)
    return np.abs(np.fft.rfft(frames * window)).sum(0, dtype=np.float64)


def _least_and_greatest(pairs: NDArray[np.float32]) -> NDArray[np.float32]:
    """`(2, hops, hop)` with the least in row 0 and the greatest in row 1, by hop."""
    return np.stack([pairs[0].min(1), pairs[1].max(1)])


def _coarse(fine: NDArray[np.float32]) -> NDArray[np.float32]:
    points = min(POINTS, fine.shape[1])
    starts = np.arange(points) * fine.shape[1] // points
    return np.stack([np.minimum.reduceat(fine[0], starts), np.maximum.reduceat(fine[1], starts)])
