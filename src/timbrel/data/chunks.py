"""Training examples as a pure function of (seed, step, example), and fixed validation chunks.

A segment is drawn with a weight of max(its length, one chunk): long recordings are heard in
proportion to their length, and a hit of 50 ms as often as a recording of one chunk, not 30 times
less. The crop is uniform over all positions where it fits. Which worker, process or machine
reads an example plays no part, so any number of workers gives the same batches and a resumed
run goes on at any step.
"""

import math
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset, Sampler

from timbrel.contracts import Batch
from timbrel.data.augmentation import Augment
from timbrel.data.cache import Clip
from timbrel.data.split import Segment
from timbrel.errors import UserError
from timbrel.randomness import numpy_generator

Short = Literal["pad", "loop", "repeat"]
OPEN_MAPS = 32
MAX_GAP_S = 0.1  # longest silence between the copies of "repeat"


@dataclass(frozen=True)
class Chunk:
    """A window on a segment, from `start_sample` of the segment's clip.

    The start lies before the segment where a short one was placed inside a longer chunk.
    `gaps` are the silences, in samples, between the copies of a short one.
    """

    segment: Segment
    start_sample: int
    gaps: tuple[int, ...] = ()


@dataclass(frozen=True)
class Example:
    """One chunk's samples, `(channel, time)` float32, and where they come from."""

    audio: NDArray[np.float32]
    clip_id: int
    start_sample: int


class MemoryMaps:
    """The clips' samples, the `OPEN_MAPS` used last kept open: memory does not follow the files.

    Copies made for worker processes start with none open.
    """

    def __init__(self) -> None:
        self._maps: OrderedDict[Path, np.memmap[Any, np.dtype[np.float32]]] = OrderedDict()

    def samples(self, clip: Clip) -> NDArray[np.float32]:
        """The clip's samples `(channel, time)`. Raises `UserError` as `Clip.open`."""
        samples = self._maps.pop(clip.path, None)
        if samples is None:
            samples = clip.open()
        self._maps[clip.path] = samples
        if len(self._maps) > OPEN_MAPS:
            self._maps.popitem(last=False)
        return samples

    def __getstate__(self) -> dict[str, Any]:
        return {"_maps": OrderedDict()}


def read_chunk(
    samples: NDArray[np.float32], chunk: Chunk, chunk_samples: int, *, short: Short
) -> NDArray[np.float32]:
    """`chunk_samples` of the clip's `samples` `(channel, time)`, as a new array in C order.

    Nothing outside the segment is read: there are zeros there ("pad"), the segment over and over
    without a cross-fade ("loop"), or copies of it with `chunk.gaps` between them ("repeat").
    """
    start, stop = chunk.segment.start_sample, chunk.segment.stop_sample
    first = chunk.start_sample
    if short == "repeat" and chunk.gaps:
        return _copies(samples[:, start:stop], start - first, chunk.gaps, chunk_samples)
    if short == "loop" and chunk.segment.frames < chunk_samples:
        phase = first - start + np.arange(chunk_samples)
        return np.ascontiguousarray(samples[:, start + phase % (stop - start)])
    begin, end = max(first, start), min(first + chunk_samples, stop)
    audio = np.empty((samples.shape[0], chunk_samples), np.float32)
    audio[:, : begin - first] = 0
    audio[:, end - first :] = 0
    # The map runs along time: channel by channel is the faster way to turn it round.
    for channel, of_channel in enumerate(audio):
        of_channel[begin - first : end - first] = samples[channel, begin:end]
    return audio


def _copies(
    segment: NDArray[np.float32], at: int, gaps: Sequence[int], chunk_samples: int
) -> NDArray[np.float32]:
    """Copies of `segment`, the first from sample `at` (which may be negative), gaps between."""
    audio = np.zeros((segment.shape[0], chunk_samples), np.float32)
    for gap in gaps:
        begin, end = max(at, 0), min(at + segment.shape[1], chunk_samples)
        if begin < end:
            audio[:, begin:end] = segment[:, begin - at : end - at]
        at += segment.shape[1] + gap
    return audio


class TrainingChunks(Dataset[Example]):
    """Training examples, by (step, example); see the module for how they are drawn.

    `short` says what a segment shorter than a chunk becomes: "pad" places it at a random offset
    in zeros (`start_sample` may be negative), "loop" repeats it from a random phase, "repeat" sets
    copies one after the other with silences of random length, up to 0.1 s, between them: a hit
    fills the chunk, and every copy starts from silence at another place in its frame.
    An augmentation that changes the speed is given as much more audio as it may need.
    Raises `UserError` for no segments and for a `chunk_samples` below 1.
    """

    def __init__(
        self,
        segments: Sequence[Segment],
        *,
        seed: int,
        chunk_samples: int,
        short: Short = "pad",
        augmentation: Augment | None = None,
    ) -> None:
        _check(chunk_samples, short)
        if not segments:
            raise UserError("no recording to train on: the train part of the split is empty")
        self.segments = tuple(segments)
        self.seed = seed
        self.chunk_samples = chunk_samples
        self.short: Short = short
        self.augmentation = augmentation or Augment()
        self._read_samples = math.ceil(chunk_samples * self.augmentation.read_factor)
        weights = [max(segment.frames, chunk_samples) for segment in self.segments]
        self._cumulative = np.cumsum(weights, dtype=np.int64)
        self._maps = MemoryMaps()

    def draw(self, step: int, example: int) -> Chunk:
        """Which segment, and from where: a function of seed, step and example alone."""
        rng = numpy_generator(self.seed, step, f"crop/{example}")
        mark = rng.integers(self._cumulative[-1])
        segment = self.segments[int(np.searchsorted(self._cumulative, mark, side="right"))]
        spare = segment.frames - self._read_samples
        if spare >= 0:
            return Chunk(segment, segment.start_sample + int(rng.integers(spare + 1)))
        if self.short == "loop":
            return Chunk(segment, segment.start_sample + int(rng.integers(segment.frames)))
        if self.short == "repeat":
            start = segment.start_sample + int(rng.integers(segment.frames)) - segment.frames // 2
            copies = math.ceil(self._read_samples / segment.frames) + 1
            gaps = rng.integers(round(MAX_GAP_S * segment.clip.rate_hz) + 1, size=copies)
            return Chunk(segment, start, tuple(int(gap) for gap in gaps))
        return Chunk(segment, segment.start_sample - int(rng.integers(-spare + 1)))

    def __getitem__(self, index: tuple[int, int]) -> Example:
        """Example `index[1]` of step `index[0]`; an error on the way names the recording."""
        step, example = index
        chunk = self.draw(step, example)
        clip = chunk.segment.clip
        try:
            samples = self._maps.samples(clip)
            audio = read_chunk(samples, chunk, self._read_samples, short=self.short)
            rng = numpy_generator(self.seed, step, f"augmentation/{example}")
            audio = self.augmentation(audio, clip.rate_hz, rng)[:, : self.chunk_samples]
        except Exception as error:
            error.add_note(f"in example {example} of step {step}, from {clip.name!r}")
            raise
        return Example(audio, clip.clip_id, chunk.start_sample)


class ValidationChunks(Dataset[Example]):
    """A fixed list of chunks, the same at every look."""

    def __init__(
        self, chunks: Sequence[Chunk], *, chunk_samples: int, short: Short = "pad"
    ) -> None:
        _check(chunk_samples, short)
        self.chunks = tuple(chunks)
        self.chunk_samples = chunk_samples
        self.short: Short = short
        self._maps = MemoryMaps()

    def __len__(self) -> int:
        return len(self.chunks)

    def __getitem__(self, index: int) -> Example:
        """Chunk `index`; an error on the way names the recording."""
        chunk = self.chunks[index]
        clip = chunk.segment.clip
        try:
            samples = self._maps.samples(clip)
            audio = read_chunk(samples, chunk, self.chunk_samples, short=self.short)
        except Exception as error:
            error.add_note(f"in validation chunk {index}, from {clip.name!r}")
            raise
        return Example(audio, clip.clip_id, chunk.start_sample)


class StepSampler(Sampler[list[tuple[int, int]]]):
    """The indices of this process's batches, one batch per step, without end.

    `batch_size` is what one process takes: step s has `world_size * batch_size` examples, of
    which process `rank` takes the `rank`-th run of `batch_size`. So two processes with batches
    of 4 see, together, what one with batches of 8 sees.
    """

    def __init__(
        self, *, first_step: int = 0, batch_size: int, rank: int = 0, world_size: int = 1
    ) -> None:
        if batch_size < 1:
            raise UserError(f"a batch size of {batch_size}; give at least 1")
        if first_step < 0 or not 0 <= rank < world_size:
            raise ValueError(f"{first_step=}, {rank=}, {world_size=}")
        self.first_step = first_step
        self.examples = range(rank * batch_size, (rank + 1) * batch_size)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        step = self.first_step
        while True:
            yield [(step, example) for example in self.examples]
            step += 1


def validation_chunks(
    segments: Sequence[Segment], chunk_samples: int, limit: int | None = None
) -> tuple[Chunk, ...]:
    """Consecutive chunks that cover each segment, at most `limit` spread evenly over all.

    The last chunk of a segment ends with it, overlapping the one before, so that no chunk but
    that of a short segment is padded. Under a `limit` every segment keeps as many chunks as any
    other (or all it has), evenly spaced; below one each, evenly spaced segments keep one.
    """
    starts = [_covering_starts(segment, chunk_samples) for segment in segments]
    counts = [len(of_segment) for of_segment in starts]
    if limit is not None:
        counts = _even_counts(counts, limit)
    return tuple(
        Chunk(segment, of_segment[position])
        for segment, of_segment, count in zip(segments, starts, counts, strict=True)
        for position in _evenly_spaced(len(of_segment), count)
    )


def collate(examples: Sequence[Example]) -> Batch:
    """The examples as one batch; `input` and `target` are the same tensor."""
    audio = torch.from_numpy(np.stack([example.audio for example in examples]))
    size = len(examples)
    return Batch(
        input=audio,
        target=audio,
        clip_id=torch.tensor([example.clip_id for example in examples]),
        start_sample=torch.tensor([example.start_sample for example in examples]),
        attributes=torch.zeros(size, 0),
        attribute_mask=torch.zeros(size, 0, dtype=torch.bool),
    )


def _check(chunk_samples: int, short: str) -> None:
    if chunk_samples < 1:
        raise UserError(f"data.chunk_samples={chunk_samples}; give at least 1")
    if short not in get_args(Short):
        raise UserError(f"data.short={short}: it is one of pad, loop")


def _covering_starts(segment: Segment, chunk_samples: int) -> list[int]:
    if segment.frames <= chunk_samples:
        return [segment.start_sample]
    last = segment.stop_sample - chunk_samples
    return [*range(segment.start_sample, last, chunk_samples), last]


def _even_counts(available: Sequence[int], limit: int) -> list[int]:
    """How many of each to take: equal shares of `limit`, what one lacks going to the others."""
    counts = [0] * len(available)
    left = min(max(limit, 0), sum(available))
    while left:
        open_to_more = [i for i, count in enumerate(counts) if count < available[i]]
        share = left // len(open_to_more)
        if not share:
            for position in _evenly_spaced(len(open_to_more), left):
                counts[open_to_more[position]] += 1
            break
        for i in open_to_more:
            taken = min(share, available[i] - counts[i])
            counts[i] += taken
            left -= taken
    return counts


def _evenly_spaced(available: int, count: int) -> list[int]:
    """`count` of the positions 0 to `available` - 1, in the middles of equal shares."""
    return [(2 * k + 1) * available // (2 * count) for k in range(count)]
