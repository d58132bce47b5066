"""Band-limited resampling by soxr at HQ: aliases and images lie below -100 dB.

The output of n samples has round(n * to / from) samples, halves rounded up, whole or streamed.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import soxr
from numpy.typing import NDArray

CHUNK_SAMPLES = 1 << 18


def resampled_length(n_samples: int, from_hz: int, to_hz: int) -> int:
    """The number of samples after resampling `n_samples` of them.

    >>> resampled_length(44_101, 44_100, 48_000)
    48001
    """
    return (2 * n_samples * to_hz + from_hz) // (2 * from_hz)


def resample(audio: NDArray[np.float32], from_hz: int, to_hz: int) -> NDArray[np.float32]:
    """`audio`, `(channel, time)`, at the new rate; at the same rate, `audio` itself."""
    if from_hz == to_hz:
        return audio
    samples = np.ascontiguousarray(audio.T)
    chunks = (samples[i : i + CHUNK_SAMPLES] for i in range(0, len(samples), CHUNK_SAMPLES))
    resampled = list(resample_blocks(chunks, from_hz, to_hz))
    if not resampled:
        return audio[:, :0]
    return np.ascontiguousarray(np.concatenate(resampled).T)


def resample_blocks(
    blocks: Iterable[NDArray[np.float32]], from_hz: int, to_hz: int
) -> Iterator[NDArray[np.float32]]:
    """Blocks `(time, channel)`, of any lengths, at the new rate, in constant memory.

    Put together they equal `resample` of the whole, sample for sample. Blocks that come out have
    other lengths than those that went in.
    """
    if from_hz == to_hz:
        yield from blocks
        return
    stream = None
    samples_in = samples_out = 0
    held: NDArray[np.float32] | None = None
    for block in blocks:
        if stream is None:
            channels = block.shape[1]
            stream = soxr.ResampleStream(from_hz, to_hz, channels, dtype="float32", quality="HQ")
        samples_in += len(block)
        resampled = stream.resample_chunk(np.ascontiguousarray(block, np.float32))
        if len(resampled):
            # One block is held back: only the end tells whether its last sample is one too many.
            if held is not None:
                samples_out += len(held)
                yield held
            held = resampled
    if stream is None:
        return
    tail = stream.resample_chunk(np.zeros((0, channels), np.float32), last=True)
    last = tail if held is None else np.concatenate([held, tail])
    missing = resampled_length(samples_in, from_hz, to_hz) - samples_out - len(last)
    yield np.pad(last, ((0, missing), (0, 0))) if missing > 0 else last[: len(last) + missing]
