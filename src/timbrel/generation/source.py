"""Where latents come from: a protocol, and the source that holds a code already."""

from collections.abc import Iterator
from typing import Protocol

from timbrel.contracts import Latent


class LatentSource(Protocol):
    """A run of latents that stands for `n_samples` of audio at the model's rate."""

    @property
    def n_samples(self) -> int:
        """Audio samples to keep; the last frame may reach beyond them."""

    def blocks(self) -> Iterator[Latent]:
        """Consecutive frames, batch 1, of any block length; every block has the same clip code."""


class FixedSource:
    """A code held in memory (batch 1)."""

    def __init__(self, latent: Latent, *, hop_samples: int, n_samples: int | None = None) -> None:
        if latent.frames.shape[0] != 1:
            raise ValueError(f"render one code at a time, not a batch of {latent.frames.shape[0]}")
        longest = latent.frames.shape[2] * hop_samples
        self.latent = latent
        self.n_samples = longest if n_samples is None else min(n_samples, longest)

    def blocks(self) -> Iterator[Latent]:
        """The whole code as one block."""
        yield self.latent
