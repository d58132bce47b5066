"""What a prior needs to know of the training latents; fitted by `analysis.latent_statistics`."""

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save

from timbrel.errors import UserError
from timbrel.files import write_bytes

Array = NDArray[np.float64]

# Components below this share of the largest variance are rounding errors or dead dimensions.
_VARIANCE_FLOOR = 1e-10


@dataclass(frozen=True)
class LatentStatistics:
    """First and second moments of posterior means, float64.

    `mean` (row), `covariance` (row row) and `lag1_covariance` (row row) are of the frame codes and
    of the `tracks` that they carry (`generation.tracks`), `lag1_covariance[i, j] = Cov(z_i at frame
    t+1, z_j at frame t)`: its asymmetry tells an attack from its reverse. `clip_mean` and
    `clip_covariance` are of the clip codes.
    """

    mean: Array
    covariance: Array
    lag1_covariance: Array
    clip_mean: Array
    clip_covariance: Array
    n_frames: int
    n_clips: int
    tracks: tuple[str, ...] = ()

    @property
    def latent_dim(self) -> int:
        """The width of the frame codes, without their tracks."""
        return len(self.mean) - len(self.tracks)

    def principal(self) -> tuple[Array, Array]:
        """`(basis, transition)` in whitened principal coordinates w, component k by variance.

        `z = mean + basis @ w` with Cov(w) = 1; `transition` is Cov(w at t+1, w at t), that is the
        lag-1 correlation matrix of the principal components. Its singular values, below 1 for any
        stationary process, are clipped to 0.9995 where few frames leave them above.
        """
        basis, whiten = whitening(self.covariance)
        transition = whiten @ self.lag1_covariance @ whiten.T
        left, singular, right = np.linalg.svd(transition)
        return basis, (left * np.minimum(singular, 0.9995)) @ right

    def clip_basis(self) -> Array:
        """`basis` with `clip code = clip_mean + basis @ w`, Cov(w) = 1."""
        return whitening(self.clip_covariance)[0]


_MOMENTS = tuple(f.name for f in fields(LatentStatistics) if f.name != "tracks")


def whitening(covariance: Array) -> tuple[Array, Array]:
    """`basis` (row component) of the principal components with unit variance, and its inverse.

    Components without variance are left out; each one's largest loading is positive.
    """
    variance, vectors = np.linalg.eigh(covariance)
    keep = variance > _VARIANCE_FLOOR * variance.max(initial=0.0)
    variance, vectors = variance[keep][::-1], vectors[:, keep][:, ::-1]
    if variance.size:
        largest = np.abs(vectors).argmax(axis=0)
        vectors = vectors * np.sign(vectors[largest, np.arange(variance.size)])
    deviation = np.sqrt(variance)
    return vectors * deviation, (vectors / deviation).T


def save_latent_statistics(path: Path, statistics: LatentStatistics) -> None:
    """Write all moments as float64 safetensors."""
    tensors = {name: np.array(getattr(statistics, name), order="C") for name in _MOMENTS}
    metadata = {"tracks": ",".join(statistics.tracks)} if statistics.tracks else None
    write_bytes(path, save(tensors, metadata))


def load_latent_statistics(path: Path) -> LatentStatistics:
    """Read what `save_latent_statistics` wrote.

    Raises UserError where the file is missing, damaged, or lacks a moment.
    """
    try:
        tensors = load_file(path)
        with safe_open(path, "numpy") as file:
            tracks = (file.metadata() or {}).get("tracks", "")
    except (OSError, SafetensorError) as error:
        raise UserError(f"'{path}' cannot be read: {error}") from error
    missing = set(_MOMENTS) - tensors.keys()
    if missing:
        raise UserError(f"'{path}' lacks {', '.join(sorted(missing))}; export the model again")
    n_frames, n_clips = int(tensors.pop("n_frames")), int(tensors.pop("n_clips"))
    moments = {name: tensors[name] for name in tensors.keys() & set(_MOMENTS)}
    statistics = LatentStatistics(
        **moments, n_frames=n_frames, n_clips=n_clips, tracks=tuple(filter(None, tracks.split(",")))
    )
    width, clip_width = statistics.mean.shape, statistics.clip_mean.shape
    shapes = {
        "covariance": 2 * width,
        "lag1_covariance": 2 * width,
        "clip_covariance": 2 * clip_width,
    }
    for name, shape in shapes.items():
        if moments[name].shape != shape or not np.isfinite(moments[name]).all():
            raise UserError(f"'{path}': {name} is not a finite {shape} matrix; export again")
    return statistics
