"""The tracks that a decoder needs beside its code, measured once of each recording."""

from collections.abc import Callable
from functools import cache

from timbrel.contracts import Conditions
from timbrel.data.split.parts import Segment
from timbrel.generation.file_source import conditions_of
from timbrel.models.autoencoder import Autoencoder

Tracks = Callable[[Segment], Conditions]


def tracks_once(model: Autoencoder) -> Tracks:
    """From a segment to the tracks of all of it, on the CPU, which are kept for the next call.

    What measures a model takes one, so that an evaluation measures each recording once.
    """

    @cache
    def measured(segment: Segment) -> Conditions:
        return conditions_of(model, segment.samples())

    return measured if model.conditions else lambda segment: Conditions()
