"""Changes to training audio that cost little and leave the sound what it is.

A transform is any callable `(audio, rate_hz, rng) -> audio`, audio `(channel, time)` float32 of
unchanged shape, which draws only from `rng` and does not write into its argument. The generator
of an example depends on (seed, step, example) alone, see `timbrel.data.chunks`.

Nothing here clips or normalises: samples beyond +-1 stay as they are, in float32, and reach the
model so. Whoever wants head room gives `Gain` a `max_db` of 0 or less.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from timbrel.errors import UserError

Audio = NDArray[np.float32]


class Transform(Protocol):
    """One change: `(audio, rate_hz, rng) -> audio`."""

    def __call__(self, audio: Audio, rate_hz: int, rng: np.random.Generator) -> Audio:
        """The changed audio, `(channel, time)` float32."""


class Augment:
    """Transforms, one after the other; none at all leaves the audio alone."""

    def __init__(self, *, transforms: Sequence[Transform] = ()) -> None:
        self.transforms = tuple(transforms)

    def __call__(self, audio: Audio, rate_hz: int, rng: np.random.Generator) -> Audio:
        """The changed audio. Raises `ValueError` where a transform breaks shape or type."""
        for transform in self.transforms:
            changed = transform(audio, rate_hz, rng)
            if changed.shape != audio.shape or changed.dtype != np.float32:
                raise ValueError(
                    f"{type(transform).__name__} made {changed.dtype} {changed.shape} "
                    f"of float32 {audio.shape}"
                )
            audio = changed
        return audio


class Gain:
    """A level change in dB, uniform between `min_db` and `max_db`, the same for all channels."""

    def __init__(self, *, min_db: float, max_db: float) -> None:
        if not (np.isfinite([min_db, max_db]).all() and min_db <= max_db):
            raise UserError(f"Gain: min_db={min_db} must not be above max_db={max_db}")
        self.min_db = min_db
        self.max_db = max_db

    def __call__(self, audio: Audio, rate_hz: int, rng: np.random.Generator) -> Audio:
        """The audio times one drawn factor."""
        gain_db = rng.uniform(self.min_db, self.max_db)
        return audio * np.float32(10 ** (gain_db / 20))


class Polarity:
    """The sign of all channels turned round, with the given probability."""

    def __init__(self, *, probability: float = 0.5) -> None:
        if not 0 <= probability <= 1:
            raise UserError(f"Polarity: probability={probability} must lie between 0 and 1")
        self.probability = probability

    def __call__(self, audio: Audio, rate_hz: int, rng: np.random.Generator) -> Audio:
        """The audio, or its negative."""
        return -audio if rng.random() < self.probability else audio
