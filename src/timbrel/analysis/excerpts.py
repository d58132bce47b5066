"""What of the recordings generated sounds are compared with, and the nearest recording to each."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from timbrel.attributes.extent import is_event
from timbrel.data.split.parts import Segment, Split
from timbrel.metrics import copies, diversity

TEXTURE_S = 3.0
"""A shorter excerpt of a texture does not tell whether it wanders."""

MOST_HELD_OUT = 64
"""So many held-out recordings are compared with."""

_SILENT_PEAK = 1e-3

Audio = NDArray[np.float32]
Item = TypeVar("Item")


def of_events(segments: Sequence[Segment]) -> bool:
    """Whether more than half of the recordings are one-shots or notes that are there whole."""
    return 2 * sum(map(_is_whole_event, segments)) > len(segments)


def excerpts(segments: Sequence[Segment], length: int) -> list[Segment]:
    """Events whole, of everything else one excerpt of `length` samples after the other.

    At least one of each, which may be shorter.
    """
    return [
        excerpt
        for segment in segments
        for excerpt in ([segment] if _is_whole_event(segment) else _pieces(segment, length))
    ]


def sounding(segments: Sequence[Segment], most: int) -> list[Segment]:
    """At most `most` of them, evenly spread, without the silent ones."""
    return [
        segment
        for segment in thinned(segments, most)
        if np.abs(segment.samples()).max(initial=0.0) > _SILENT_PEAK
    ]


def unseen(split: Split) -> list[Segment]:
    """Held-out recordings of which no piece is trained on."""
    trained_on = {segment.clip.clip_id for segment in split.train}
    held_out = (*split.validation, *split.test)
    return [segment for segment in held_out if segment.clip.clip_id not in trained_on]


def thinned(items: Sequence[Item], most: int) -> list[Item]:
    """At most `most` of them, evenly spread: recordings stand in the order of their names.

    >>> thinned(["noise 1", "noise 2", "pluck 1", "pluck 2"], 2)
    ['noise 1', 'pluck 1']
    """
    n = len(items)
    return [items[i * n // most] for i in range(most)] if n > most else [*items]


def clip_samples(segments: Sequence[Segment], excerpt_samples: int, *, events: bool) -> int:
    """The median length of events, or of what is cut into excerpts."""
    lengths = [s.n_samples for s in segments if not events or _is_whole_event(s)]
    median = max(1, int(np.median(lengths))) if lengths else excerpt_samples
    return median if events else min(excerpt_samples, median)


def nearest_recordings(
    sounds: Sequence[Audio], recordings: Sequence[Segment], rate_hz: int, *, events: bool
) -> diversity.Nearest:
    """The nearest of `recordings` to every sound, moment by moment (`metrics.copies`), in dB.

    Of `events` from their onsets; of textures the first second and a middle one, wherever a
    recording is most like it, up to a second behind its end.
    """
    if not sounds:
        return diversity.Nearest(np.zeros(0), np.zeros(0, np.int64))
    heard = np.concatenate([copies.patches(x, rate_hz, from_onset=events) for x in sounds])
    distance = np.full((len(sounds), len(recordings)), np.inf)
    for i, recording in enumerate(recordings):
        audio = recording.samples() if events else _and_a_second(recording).samples()
        cells = copies.pattern(audio, rate_hz, from_onset=events)
        of_patches = copies.distances_db(heard, cells, anywhere=not events)
        distance[:, i] = of_patches.reshape(len(sounds), -1).min(1, initial=np.inf)
    index = distance.argmin(1)
    return diversity.Nearest(distance[np.arange(len(sounds)), index], index)


def _and_a_second(excerpt: Segment) -> Segment:
    stop = excerpt.stop_sample + round(copies.PATCH_S * excerpt.clip.rate_hz)
    return replace(excerpt, stop_sample=min(stop, excerpt.clip.n_samples))


def _pieces(segment: Segment, length: int) -> list[Segment]:
    return [
        replace(
            segment,
            start_sample=segment.start_sample + i * length,
            stop_sample=min(segment.stop_sample, segment.start_sample + (i + 1) * length),
        )
        for i in range(max(1, segment.n_samples // length))
    ]


def _is_whole_event(segment: Segment) -> bool:
    """A piece of a recording is none: it does not begin or end as that does."""
    return segment.is_whole and is_event(segment.samples(), segment.clip.rate_hz)
