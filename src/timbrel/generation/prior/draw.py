"""What a prior is, and what it draws."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from timbrel.generation.source import LatentSource
from timbrel.randomness import numpy_generator

Recording = TypeVar("Recording")


@dataclass(frozen=True)
class Draw:
    """A new sound: its code, and how it was made.

    `made_of` names recordings with their weights, which add up to 1; it is empty where a sound is
    made of all of them. `ends` says that the code has an end of its own, as a note has, and `cut`
    that it was cut before it. `audio` (channel time) is there where a sound is more than its code
    decoded.
    """

    source: LatentSource
    made_of: tuple[tuple[str, float], ...] = ()
    ends: bool = False
    cut: bool = False
    audio: NDArray[np.float32] | None = None


class Prior(Protocol):
    """Draws new sounds; a seed gives the same sound every time."""

    @property
    def kind(self) -> str:
        """Its name, as `prior=` gives it."""

    def draw(
        self,
        seed: int,
        *,
        n_samples: int | None = None,
        length: float = 1.0,
        temperature: float = 1.0,
        redraw: int = 0,
    ) -> Draw:
        """The sound of `seed`.

        `n_samples` is a length to keep to where a sound has no end of its own, and the most of one
        that has; `length` stretches a sound that has one. `temperature` scales what is random in
        the code: 0 is none. Each `redraw` is another sound of the same recording, less like it.
        """


def visited(recordings: Sequence[Recording], seed: int) -> Recording:
    """The recording that `seed` visits: N seeds visit N recordings once each, in a random order."""
    rng = numpy_generator(seed // len(recordings), 0, "prior recordings")
    return recordings[rng.permutation(len(recordings))[seed % len(recordings)]]


def described(made_of: tuple[tuple[str, float], ...]) -> str:
    """The recordings that a sound is made of, and their shares.

    >>> described((("kick", 0.62), ("tom", 0.38)))
    'kick 62 %; tom 38 %'
    """
    return "; ".join(f"{name} {100 * weight:.0f} %" for name, weight in made_of)
