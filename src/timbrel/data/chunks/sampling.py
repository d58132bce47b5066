"""Training examples as a pure function of (seed, step, example), and fixed validation chunks.

A segment is drawn with a weight of max(its length, one chunk): long recordings are drawn in
proportion to their length, and a hit of 50 ms as often as a recording of one chunk, not 30 times
less. The crop is uniform over all positions where it fits. Which worker, process or machine reads
an example plays no part, so any number of workers gives the same batches and a resumed run goes on
at any step.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import get_args

import numpy as np
from torch.utils.data import Dataset, Sampler

from timbrel.config.bounds import check_values
from timbrel.config.schema import DataConfig, TrainerConfig
from timbrel.data.augmentation import UNCHANGED, Audio, Augment, Changed, Counterfactual
from timbrel.data.chunks.chunk import (
    Chunk,
    Example,
    Measuring,
    MemoryMaps,
    Short,
    Variant,
    read_chunk,
)
from timbrel.data.split.parts import Segment
from timbrel.errors import UserError
from timbrel.randomness import WHOLE, Share, numpy_generator

MAX_GAP_S = 0.1  # longest silence between the copies of "repeat"


class TrainingChunks(Dataset[Example]):
    """Training examples, by (step, example); see the module for how they are drawn.

    `short` says what a segment shorter than a chunk becomes: "pad" places it at a random offset
    in zeros (`start_sample` may be negative), "loop" repeats it from a random phase, "repeat" sets
    copies one after the other with silences of random length, up to 0.1 s, between them: a hit
    fills the chunk, and every copy starts from silence at another place in its frame.
    An augmentation that changes the speed is given as much more audio as it may need; where the
    target of counterfactual pairs does, every example's input is that much longer, in whole frames
    of `hop_samples`. `variants` holds, for every segment, its rendered forms: a chunk comes from
    the recording or from one of them, each as likely; of a segment rendered in pieces, from each
    piece's.
    Raises `UserError` for no segments and for a `chunk_samples` that no config may have.
    """

    def __init__(
        self,
        segments: Sequence[Segment],
        *,
        seed: int,
        chunk_samples: int,
        short: Short = "pad",
        augmentation: Augment | None = None,
        variants: Sequence[Sequence[Variant]] | None = None,
        measuring: Measuring | None = None,
        hop_samples: int = 1,
    ) -> None:
        _check(chunk_samples, short)
        if not segments:
            raise UserError("no recording to train on: the train part of the split is empty")
        self.segments = tuple(segments)
        self.seed = seed
        self.chunk_samples = chunk_samples
        self.short: Short = short
        self.augmentation = augmentation or Augment(transforms={})
        self.variants = variants or [()] * len(self.segments)
        if len(self.variants) != len(self.segments):
            raise ValueError(f"{len(self.variants)} lists of variants, {len(segments)} segments")
        self._pieces = [len({v.original for v in of_segment}) for of_segment in self.variants]
        self.measuring = measuring
        self._input_samples = _input_samples(self.augmentation, chunk_samples, hop_samples)
        self._read_samples = math.ceil(self._input_samples * self.augmentation.live.max_speed)
        weights = [max(segment.n_samples, chunk_samples) for segment in self.segments]
        self._cumulative = np.cumsum(weights, dtype=np.int64)
        self._maps = MemoryMaps()

    def draw(self, step: int, example: int, name: str = "crop") -> Chunk:
        """Which segment, and from where: a function of seed, step, example and name alone."""
        rng = numpy_generator(self.seed, step, f"{name}/{example}")
        mark = rng.integers(self._cumulative[-1])
        place = int(np.searchsorted(self._cumulative, mark, side="right"))
        segment, variants = self.segments[place], self.variants[place]
        if not variants:
            return self._crop(segment, rng)
        # Of n variants of p pieces each, a recording is drawn once in n + 1, as if it were whole.
        kind = int(rng.integers(len(variants) + self._pieces[place]))
        if kind >= len(variants):
            return self._crop(segment, rng)
        variant = variants[kind]
        crop = self._crop(variant.segment, rng)
        return replace(crop, original=variant.original, change=variant.change)

    def _crop(self, segment: Segment, rng: np.random.Generator) -> Chunk:
        spare = segment.n_samples - self._read_samples
        if spare >= 0:
            return Chunk(segment, segment.start_sample + int(rng.integers(spare + 1)))
        if self.short == "loop":
            return Chunk(segment, segment.start_sample + int(rng.integers(segment.n_samples)))
        if self.short == "repeat":
            start = (
                segment.start_sample + int(rng.integers(segment.n_samples)) - segment.n_samples // 2
            )
            copies = math.ceil(self._read_samples / segment.n_samples) + 1
            gaps = rng.integers(round(MAX_GAP_S * segment.clip.rate_hz) + 1, size=copies)
            return Chunk(segment, start, tuple(int(gap) for gap in gaps))
        return Chunk(segment, segment.start_sample - int(rng.integers(-spare + 1)))

    def __getitem__(self, index: tuple[int, int]) -> Example:
        """Example `index[1]` of step `index[0]`; an error on the way names the recording."""
        step, example = index
        chunk = self.draw(step, example)
        clip = chunk.segment.clip
        try:
            return self._example(chunk, step, example)
        except Exception as error:
            error.add_note(f"in example {example} of step {step}, from {clip.name!r}")
            raise

    def _example(self, chunk: Chunk, step: int, example: int) -> Example:
        augmentation, clip = self.augmentation, chunk.segment.clip
        rng = numpy_generator(self.seed, step, f"augmentation/{example}")
        of_mix, of_mask = rng.spawn(2)
        changed = augmentation.live(self._read(chunk), clip.rate_hz, rng)
        heard, change = changed.audio[:, : self._input_samples], changed.change
        if augmentation.mix is not None and of_mix.random() < augmentation.mix.probability:
            other = self._read(self.draw(step, example, "mix"))
            mixed = augmentation.mix(heard, other, of_mix)
            heard, change = mixed.audio, change.then(mixed.change)
        target, code_speed = heard, None
        if augmentation.counterfactual is not None:
            version = self._version(augmentation.counterfactual, heard, clip.rate_hz, step, example)
            target, change = version.audio, change.then(version.change)
            code_speed = 1 / version.change.time_ratio
        seen = None if target is heard else heard
        if augmentation.mask is not None and of_mask.random() < augmentation.mask.probability:
            seen = augmentation.mask(heard, clip.rate_hz, of_mask)
        measures = self.measuring(chunk, change, target) if self.measuring else None
        return Example(target, clip.clip_id, chunk.start_sample, seen, measures, code_speed)

    def _version(
        self, pairs: Counterfactual, heard: Audio, rate_hz: int, step: int, example: int
    ) -> Changed:
        """The target: of a pair the changed sound, else the beginning of the one that is heard."""
        # A generator by a name of its own: without pairs all other draws are the same.
        rng = numpy_generator(self.seed, step, f"counterfactual/{example}")
        version = pairs.version(heard, rate_hz, rng)
        if version.audio.shape[1] == self.chunk_samples:
            return version
        return replace(version, audio=version.audio[:, : self.chunk_samples])

    def _read(self, chunk: Chunk) -> Audio:
        samples = self._maps.samples(chunk.segment.clip)
        return read_chunk(samples, chunk, self._read_samples, short=self.short)


class ValidationChunks(Dataset[Example]):
    """A fixed list of chunks, the same in every pass."""

    def __init__(
        self,
        chunks: Sequence[Chunk],
        *,
        chunk_samples: int,
        short: Short = "pad",
        measuring: Measuring | None = None,
    ) -> None:
        _check(chunk_samples, short)
        self.measuring = measuring
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
            measures = self.measuring(chunk, UNCHANGED, audio) if self.measuring else None
        except Exception as error:
            error.add_note(f"in validation chunk {index}, from {clip.name!r}")
            raise
        return Example(audio, clip.clip_id, chunk.start_sample, measures=measures)


class StepSampler(Sampler[list[tuple[int, int]]]):
    """The indices of the batches, one batch per step, from `first_step` on, without end.

    Of each batch those of this process's `share`.
    """

    def __init__(self, *, first_step: int = 0, batch_size: int, share: Share = WHOLE) -> None:
        check_values(TrainerConfig, "trainer.", batch_size=batch_size)
        if first_step < 0:
            raise ValueError(f"{first_step=}")
        self.first_step = first_step
        if batch_size % share.count:
            raise ValueError(f"{batch_size=}: no multiple of {share.count} processes")
        self.examples = share.of(range(batch_size))

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
        for position in evenly_spaced(len(of_segment), count)
    )


def _check(chunk_samples: int, short: str) -> None:
    check_values(DataConfig, "data.", chunk_samples=chunk_samples)
    if short not in get_args(Short):
        raise UserError(f"data.short={short}: it is one of {', '.join(get_args(Short))}")


def _input_samples(augmentation: Augment, chunk_samples: int, hop_samples: int) -> int:
    """What the encoder is given: more than a chunk where a pair's target may run faster."""
    pairs = augmentation.counterfactual
    if pairs is None or pairs.max_speed == 1:
        return chunk_samples
    return math.ceil(chunk_samples * pairs.max_speed / hop_samples) * hop_samples


def _covering_starts(segment: Segment, chunk_samples: int) -> list[int]:
    if segment.n_samples <= chunk_samples:
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
            for position in evenly_spaced(len(open_to_more), left):
                counts[open_to_more[position]] += 1
            break
        for i in open_to_more:
            taken = min(share, available[i] - counts[i])
            counts[i] += taken
            left -= taken
    return counts


def evenly_spaced(available: int, count: int) -> list[int]:
    """`count` of the positions 0 to `available` - 1, in the middles of equal shares."""
    return [(2 * k + 1) * available // (2 * count) for k in range(count)]
