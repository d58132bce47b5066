"""Changes to training audio that cost little and leave the sound what it is.

A transform is any callable `(audio, rate_hz, rng) -> audio`, audio `(channel, time)` float32, which
keeps the channels, and the length too unless it says by how much it may shorten (`max_speed`),
draws only from `rng` and does not write into its argument. The generator
of an example depends on (seed, step, example) alone, see `timbrel.data.chunks`.

Nothing here clips or normalises: samples beyond +-1 stay as they are, in float32, and reach the
model so. Whoever wants head room gives `Gain` a `max_db` of 0 or less.
"""

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import soxr
from numpy.typing import NDArray

from timbrel.errors import UserError

Audio = NDArray[np.float32]


class Transform(Protocol):
    """One change: `(audio, rate_hz, rng) -> audio`."""

    def __call__(self, audio: Audio, rate_hz: int, rng: np.random.Generator) -> Audio:
        """The changed audio, `(channel, time)` float32."""


class Augment:
    """Transforms, one after the other; none at all leaves the audio alone.

    Audio that is `read_factor` times longer than what is wanted stays long enough: cut the rest.
    """

    def __init__(self, *, transforms: Sequence[Transform] = ()) -> None:
        self.transforms = tuple(transforms)
        self.read_factor = math.prod(getattr(t, "max_speed", 1.0) for t in self.transforms)

    def __call__(self, audio: Audio, rate_hz: int, rng: np.random.Generator) -> Audio:
        """The changed audio. Raises `ValueError` where a transform breaks shape or type."""
        for transform in self.transforms:
            changed = transform(audio, rate_hz, rng)
            shortest = math.floor(audio.shape[1] / getattr(transform, "max_speed", 1.0))
            fits = changed.shape[0] == audio.shape[0] and changed.shape[1] >= shortest
            if not fits or changed.dtype != np.float32:
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


class Varispeed:
    """Another playback speed: pitch, times and spectrum move together, as on tape.

    The speed is drawn log-uniformly within `octaves` of 1, and reached by resampling (soxr MQ). A
    change by the factor s multiplies f0 by s and divides attack and decay times by s.
    """

    def __init__(self, *, octaves: float) -> None:
        if not 0 < octaves <= 2:
            raise UserError(f"Varispeed: octaves={octaves} must be above 0 and at most 2")
        self.octaves = octaves
        self.max_speed = 2.0**octaves

    def __call__(self, audio: Audio, rate_hz: int, rng: np.random.Generator) -> Audio:
        """The audio at a drawn speed: `time / speed` samples."""
        speed = 2.0 ** rng.uniform(-self.octaves, self.octaves)
        changed = soxr.resample(audio.T, speed, 1.0, quality="MQ").T
        return np.ascontiguousarray(changed, dtype=np.float32)
