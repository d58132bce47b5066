"""What a transform does to a sound, and what is known of it afterwards.

Augmentation changes the attributes of a sound. A transform returns the factors of f0 and of time,
from which f0 and positions in time follow. The rest, level, spectrum, attack and decay, is measured
again on the changed sound.
"""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Audio = NDArray[np.float32]


@dataclass(frozen=True)
class Change:
    """The factors of f0 (nan where it is no longer known) and of all durations.

    `keeps_periodicity` says that the harmonic-to-noise ratio is taken to be as before; else it is
    measured again wherever it is asked for.

    >>> Change(f0_ratio=2.0).then(Change(f0_ratio=1.5, time_ratio=0.5))
    Change(f0_ratio=3.0, time_ratio=0.5)
    """

    f0_ratio: float = 1.0
    time_ratio: float = 1.0
    keeps_periodicity: bool = field(default=True, repr=False)

    def then(self, other: "Change") -> "Change":
        """This change and `other` after it."""
        return Change(
            self.f0_ratio * other.f0_ratio,
            self.time_ratio * other.time_ratio,
            self.keeps_periodicity and other.keeps_periodicity,
        )


UNCHANGED = Change()


@dataclass(frozen=True)
class Changed:
    """Audio after a transform, `(channel, time)` float32, and its change."""

    audio: Audio
    change: Change = UNCHANGED


class Transform(Protocol):
    """One change: `(audio, rate_hz, rng) -> Changed`, audio `(channel, time)` float32.

    It keeps the channels, draws only from `rng`, and does not write into its argument. It may
    shorten the audio, at most by the factor `max_speed`. `probability` is how often the chain
    applies it, `heavy` whether it is worth rendering ahead.
    """

    probability: float
    heavy: bool
    max_speed: float

    def __call__(self, audio: Audio, rate_hz: int, rng: np.random.Generator) -> Changed:
        """The changed audio."""
