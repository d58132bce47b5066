"""A chunk of a recording: where it lies, how it is read, what becomes of it.

The samples lie in memory maps of the cache; nothing outside a chunk's segment is ever read.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from timbrel.data.augmentation import UNCHANGED, Audio, Change
from timbrel.data.cache.store import Clip
from timbrel.data.split.parts import Segment

Short = Literal["pad", "loop", "repeat"]
OPEN_MAPS = 32


@dataclass(frozen=True)
class Chunk:
    """A window on a segment, from `start_sample` of the segment's clip.

    The start lies before the segment where a short one was placed inside a longer chunk.
    `gaps` are the silences, in samples, between the copies of a short one. Where the segment is a
    rendered variant, `original` is what of the recording it was rendered from, and `change` what
    rendering did to that.
    """

    segment: Segment
    start_sample: int
    gaps: tuple[int, ...] = ()
    original: Segment | None = None
    change: Change = UNCHANGED


@dataclass(frozen=True)
class Variant:
    """A rendered form of `original`, a segment or a piece of one: its samples, and their change."""

    segment: Segment
    change: Change
    original: Segment


@dataclass(frozen=True)
class Measures:
    """Attributes of a chunk and of its latent frames, with masks of where they are defined.

    `tracks` names the conditions that are to be made of those of the frames.
    """

    names: tuple[str, ...]
    values: NDArray[np.float32]  # (attribute,)
    mask: NDArray[np.bool_]
    frame_names: tuple[str, ...]
    frame_values: NDArray[np.float32]  # (attribute, frame)
    frame_mask: NDArray[np.bool_]
    tracks: tuple[str, ...] = ()


class Measuring(Protocol):
    """What gives a chunk's attributes: from its place in a recording, or from its samples.

    `live` is what was done to `audio` after it was read as `chunk`.
    """

    def __call__(self, chunk: Chunk, live: Change, audio: Audio) -> Measures:
        """The chunk's attributes and its frames'."""
        ...


@dataclass(frozen=True)
class Example:
    """One chunk's samples, `(channel, time)` float32, and where they come from.

    `audio` is the target; `seen` what the encoder sees instead, where that differs. `code_speed` is
    how many frames of the encoder's code pass in one frame of the target, where the code is to be
    brought to the target's time.
    """

    audio: NDArray[np.float32]
    clip_id: int
    start_sample: int
    seen: NDArray[np.float32] | None = None
    measures: Measures | None = None
    code_speed: float | None = None


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
    if short == "loop" and chunk.segment.n_samples < chunk_samples:
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


def positions(
    chunk: Chunk, at: NDArray[np.floating], *, short: Short
) -> tuple[NDArray[np.floating], NDArray[np.bool_]]:
    """Where in its clip the samples `at` of a chunk as read come from, and whether any do.

    Between the copies of a short segment, and outside of one that was padded, there is none.
    """
    start, n_samples = chunk.segment.start_sample, chunk.segment.n_samples
    offset = at + (chunk.start_sample - start)
    if short == "repeat" and chunk.gaps:
        begins = np.cumsum([0, *(n_samples + gap for gap in chunk.gaps[:-1])])
        copy = np.maximum(np.searchsorted(begins, offset, side="right") - 1, 0)
        offset = offset - begins[copy]
    elif short == "loop":
        offset = offset % n_samples
    return start + offset, (offset >= 0) & (offset < n_samples)


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
