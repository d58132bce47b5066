"""A stationary linear process: what a vector autoregression of any order draws from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from timbrel.contracts import Latent
from timbrel.generation.tracks import latent_of

Array = NDArray[np.float64]

_BLOCK_FRAMES = 256


@dataclass(frozen=True, eq=False)
class LinearProcess:
    """x = mean + output @ s, where s at the next frame is transition @ s + innovation @ e.

    `mean` (row), `output` (row state), `transition` (state state), `innovation` (state noise); e is
    white with unit variance. `start` (state noise) is a root of the covariance of s, so that the
    first frame is as any other.
    """

    mean: Array
    output: Array
    transition: Array
    innovation: Array
    start: Array

    def frames(
        self, rng: np.random.Generator, n_frames: int, block_frames: int = _BLOCK_FRAMES
    ) -> Iterator[NDArray[np.float32]]:
        """Blocks (row frame); what is drawn does not depend on their length."""
        state = self.start @ rng.standard_normal(self.start.shape[1])
        for first in range(0, n_frames, block_frames):
            rows = np.empty((len(self.mean), min(block_frames, n_frames - first)), np.float32)
            for frame in range(rows.shape[1]):
                rows[:, frame] = self.mean + self.output @ state
                noise = rng.standard_normal(self.innovation.shape[1])
                state = self.transition @ state + self.innovation @ noise
            yield rows

    def latents(
        self,
        rng: np.random.Generator,
        n_frames: int,
        clip_code: Float[Tensor, "1 clip_latent"],
        tracks: Sequence[str],
        block_frames: int = _BLOCK_FRAMES,
    ) -> Iterator[Latent]:
        """`frames` as codes whose last rows are `tracks`."""
        for rows in self.frames(rng, n_frames, block_frames):
            yield latent_of(torch.from_numpy(rows)[None], clip_code, tracks)


def square_root(covariance: Array) -> Array:
    """L with L L^T = covariance, for a positive semi-definite matrix of any rank."""
    variance, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(np.maximum(variance, 0.0))
