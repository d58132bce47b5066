"""Voices added up: a song in blocks, in memory for what sounds at one time."""

from collections.abc import Iterable, Iterator

import numpy as np

from timbrel.generation.engine import AudioBlock

_BLOCK_SAMPLES = 1 << 16


def mixed(
    voices: Iterable[tuple[int, int, AudioBlock]], *, channels: int, n_samples: int
) -> Iterator[AudioBlock]:
    """`n_samples` of the sum of `voices`: (earliest sample, first sample, audio (channel time)).

    No voice has samples ahead of its earliest one, and these never fall. What lies ahead of the
    song's start or behind its end is left out.

    >>> ones = np.ones((1, 3), np.float32)
    >>> blocks = list(mixed([(0, 1, ones), (2, 2, ones)], channels=1, n_samples=6))
    >>> np.concatenate(blocks, axis=1).tolist()
    [[0.0, 1.0, 2.0, 2.0, 1.0, 0.0]]
    """
    held = np.zeros((channels, 0), np.float32)
    start = 0  # of what is held
    for earliest, first, audio in voices:
        while start < min(earliest, n_samples):
            length = min(_BLOCK_SAMPLES, min(earliest, n_samples) - start)
            block, held = _taken(held, length)
            yield block
            start += length
        if start >= n_samples:
            return
        cut = max(0, start - first)
        audio = audio[:, cut:]
        place = max(first, start) - start
        missing = place + audio.shape[1] - held.shape[1]
        if missing > 0:
            held = np.pad(held, ((0, 0), (0, missing)))
        held[:, place : place + audio.shape[1]] += audio
    while start < n_samples:
        block, held = _taken(held, min(_BLOCK_SAMPLES, n_samples - start))
        yield block
        start += block.shape[1]


def _taken(held: AudioBlock, length: int) -> tuple[AudioBlock, AudioBlock]:
    block = held[:, :length]
    if block.shape[1] < length:
        block = np.pad(block, ((0, 0), (0, length - block.shape[1])))
    return np.ascontiguousarray(block), held[:, length:]
