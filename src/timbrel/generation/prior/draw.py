"""What a prior is, and what it draws."""

from dataclasses import dataclass
from typing import Protocol

from timbrel.generation.source import LatentSource


@dataclass(frozen=True)
class Draw:
    """A new sound: its code, and how it was made.

    `made_of` names recordings with their weights, which add up to 1; it is empty where a sound is
    made of all of them. `ends` says that the code has an end of its own, as a note has, and `cut`
    that it was cut before it.
    """

    source: LatentSource
    made_of: tuple[tuple[str, float], ...] = ()
    ends: bool = False
    cut: bool = False


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
    ) -> Draw:
        """The sound of `seed`.

        `n_samples` is a length to keep to where a sound has no end of its own, and the most of one
        that has; `length` stretches a sound that has one. `temperature` scales what is random in
        the code: 0 is none.
        """


def described(made_of: tuple[tuple[str, float], ...]) -> str:
    """The recordings that a sound is made of, and their shares.

    >>> described((("kick", 0.62), ("tom", 0.38)))
    'kick 62 %; tom 38 %'
    """
    return "; ".join(f"{name} {100 * weight:.0f} %" for name, weight in made_of)
