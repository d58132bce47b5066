"""A vector autoregression of one recording's frames: a texture that is new in every frame.

Fitted to all recordings at once it wanders from the colour of one to that of the next (`gaussian`);
fitted to one it keeps to its mean and covariance, and repeats none of its frames.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import solve_discrete_lyapunov

from timbrel.contracts import Latent
from timbrel.generation.prior.process import LinearProcess, square_root
from timbrel.generation.statistics import whitening
from timbrel.randomness import numpy_generator

ORDER = 2
RIDGE = 0.001
"""Of the variance of a principal component, which is 1."""

LARGEST_RADIUS = 0.9995
_LARGEST_CONDITION = 1e8

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class AutoregressiveSource:
    """Frames of `process` for `n_samples` of audio, with one clip code (clip_latent)."""

    process: LinearProcess
    clip_code: NDArray[np.float32]
    tracks: tuple[str, ...]
    seed: int
    redraw: int
    n_samples: int
    hop_samples: int

    def blocks(self) -> Iterator[Latent]:
        """The same frames at every call."""
        rng = numpy_generator(self.seed, self.redraw, "prior autoregression")
        clip_code = torch.from_numpy(self.clip_code)[None]
        n_frames = math.ceil(self.n_samples / self.hop_samples)
        yield from self.process.latents(rng, n_frames, clip_code, self.tracks)


def fit_autoregression(rows: Array, *, order: int = ORDER, ridge: float = RIDGE) -> LinearProcess:
    """The process of `rows` (row frame), by least squares in whitened principal components.

    w_t = A_1 w_(t-1) + ... + A_p w_(t-p) + e (Lütkepohl 2005, section 3.2), with a ridge. What
    would grow is brought to stay where it is. The output is scaled so that a frame has exactly the
    mean and the covariance of the rows.
    """
    mean = rows.mean(1)
    centred = rows - mean[:, None]
    basis, whiten = whitening(centred @ centred.T / rows.shape[1])
    w = whiten @ centred
    n_components, n_frames = w.shape
    order = max(1, min(order, n_frames - 1))
    if n_components == 0:
        nothing = np.zeros((0, 0))
        return LinearProcess(mean, basis, nothing, nothing, nothing)
    now = w[:, order:]
    before = np.concatenate([w[:, order - i : n_frames - i] for i in range(1, order + 1)])
    gram = before @ before.T + ridge * now.shape[1] * np.eye(len(before))
    coefficients = np.linalg.solve(gram, before @ now.T).T
    residual = now - coefficients @ before
    transition = _stable(_companion(coefficients, order))
    innovation = np.zeros((len(transition), n_components))
    innovation[:n_components] = square_root(residual @ residual.T / now.shape[1])
    stationary = solve_discrete_lyapunov(transition, innovation @ innovation.T)
    stationary = (stationary + stationary.T) / 2
    output = np.zeros((len(rows), len(transition)))
    output[:, :n_components] = basis @ _inverse_root(stationary[:n_components, :n_components])
    return LinearProcess(mean, output, transition, innovation, square_root(stationary))


def radius(transition: Array) -> float:
    """The largest absolute eigenvalue: below 1 of a process that stays where it is."""
    return float(np.abs(np.linalg.eigvals(transition)).max(initial=0.0))


def _companion(coefficients: Array, order: int) -> Array:
    """The transition of the last `order` frames as one state."""
    n = len(coefficients)
    shifted = np.eye(n * (order - 1), n * order)
    return np.concatenate([coefficients, shifted])


def _stable(transition: Array) -> Array:
    """`transition` with what grows, or hardly dies away, brought to `LARGEST_RADIUS`.

    Only those eigenvalues are changed, where the eigenvectors allow it; otherwise all alike.
    """
    largest = radius(transition)
    if largest <= LARGEST_RADIUS:
        return transition
    values, vectors = np.linalg.eig(transition)
    if np.linalg.cond(vectors) < _LARGEST_CONDITION:
        size = np.abs(values)
        values = values * np.where(size > LARGEST_RADIUS, LARGEST_RADIUS / size, 1.0)
        return ((vectors * values) @ np.linalg.inv(vectors)).real
    return transition * (LARGEST_RADIUS / largest)


def _inverse_root(covariance: Array) -> Array:
    variance, vectors = np.linalg.eigh(covariance)
    kept = variance > 1e-9 * variance.max()
    scale = np.where(kept, 1 / np.sqrt(np.where(kept, variance, 1.0)), 0.0)
    return (vectors * scale) @ vectors.T
