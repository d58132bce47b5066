"""Smooth random trajectories with the moments of all training codes."""

from collections.abc import Iterator

import numpy as np
import torch

from timbrel.contracts import Latent
from timbrel.generation.prior.draw import Draw
from timbrel.generation.prior.process import LinearProcess, square_root
from timbrel.generation.statistics import LatentStatistics
from timbrel.randomness import derived_seed, numpy_generator

SECONDS = 4.0
"""How long a sound is that has no length of its own."""


class GaussianPrior:
    """Sounds with the moments of all codes, without a beginning or an end (`PriorSource`)."""

    kind = "gaussian"

    def __init__(
        self, statistics: LatentStatistics, *, hop_samples: int, sample_rate_hz: int
    ) -> None:
        self.statistics = statistics
        self.hop_samples = hop_samples
        self.sample_rate_hz = sample_rate_hz

    def draw(
        self,
        seed: int,
        *,
        n_samples: int | None = None,
        length: float = 1.0,
        temperature: float = 1.0,
        redraw: int = 0,
    ) -> Draw:
        """The sound of `seed`: `n_samples` long, or 4 s times `length`."""
        default = max(1, round(length * SECONDS * self.sample_rate_hz))
        return Draw(
            PriorSource(
                self.statistics,
                n_samples=default if n_samples is None else n_samples,
                hop_samples=self.hop_samples,
                seed=derived_seed(seed, redraw, "prior redraw") if redraw else seed,
                temperature=temperature,
            )
        )


class PriorSource:
    """Smooth random trajectories with the training latents' first and second moments.

    A vector autoregression of order 1 in whitened principal coordinates: w' = A w + L e with
    L L^T = 1 - A A^T, started from its stationary distribution, so that every frame has exactly
    the fitted mean and covariance, and every pair of neighbours the fitted lag-1 covariance.
    The tracks that a code carries are drawn with it. `temperature` scales deviations from the mean.
    Drawn frame by frame in float64: the trajectory does not depend on the block length, and a
    longer one begins like a shorter one.
    """

    def __init__(
        self,
        statistics: LatentStatistics,
        *,
        n_samples: int,
        hop_samples: int,
        seed: int,
        temperature: float = 1.0,
        block_frames: int = 256,
    ) -> None:
        if n_samples <= 0 or temperature < 0:
            raise ValueError(f"n_samples={n_samples}, temperature={temperature}: out of range")
        self.statistics = statistics
        self.n_samples = n_samples
        self.n_frames = -(-n_samples // hop_samples)
        self.seed = seed
        self.temperature = temperature
        self.block_frames = block_frames

    def blocks(self) -> Iterator[Latent]:
        """The same frames at every call."""
        statistics = self.statistics
        basis, transition = statistics.principal()
        unit = np.eye(len(transition))
        process = LinearProcess(
            statistics.mean,
            self.temperature * basis,
            transition,
            square_root(unit - transition @ transition.T),
            start=unit,
        )
        yield from process.latents(
            numpy_generator(self.seed, 0, "prior frames"),
            self.n_frames,
            torch.from_numpy(self._clip()).float()[None],
            statistics.tracks,
            self.block_frames,
        )

    def _clip(self) -> np.ndarray:
        basis = self.statistics.clip_basis()
        rng = numpy_generator(self.seed, 0, "prior clip")
        deviation = basis @ rng.standard_normal(basis.shape[1])
        return self.statistics.clip_mean + self.temperature * deviation
