"""The tracks that a decoder needs beside its code, measured once of each recording."""

import math
from functools import cache
from typing import Protocol

from timbrel.contracts import Conditions
from timbrel.data.split.parts import Segment
from timbrel.generation.file_source import conditions_of
from timbrel.models.autoencoder import Autoencoder


class Tracks(Protocol):
    """From a segment to its tracks, on the CPU."""

    def __call__(self, segment: Segment, n_samples: int | None = None) -> Conditions:
        """The tracks of the whole segment, or of its first `n_samples` samples."""


def tracks_once(model: Autoencoder) -> Tracks:
    """Measures the tracks of each whole segment at the first call, and keeps them for the next.

    What measures a model takes one, so that an evaluation measures each recording once.
    """

    @cache
    def measured(segment: Segment) -> Conditions:
        return conditions_of(model, segment.samples())

    def tracks(segment: Segment, n_samples: int | None = None) -> Conditions:
        if not model.conditions:
            return Conditions()  # without reading the recording
        whole = measured(segment)
        return (
            whole if n_samples is None else whole.cut(0, math.ceil(n_samples / model.hop_samples))
        )

    return tracks
