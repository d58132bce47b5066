"""Moments of the training latents for `generation.PriorSource`, in one pass and in float64."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from timbrel.contracts import Latent
from timbrel.generation.statistics import LatentStatistics
from timbrel.generation.tracks import rows_of


def fit_latent_statistics(sequences: Iterable[Latent]) -> LatentStatistics:
    """Mean, covariance and lag-1 covariance of frame codes with their tracks; those of clip codes.

    `sequences` gives posterior means, any batch size: each row of a batch is one clip, and only
    neighbours within a clip count for the lag. Where no clip has two frames the lag-1
    covariance is 0. Covariances divide by n, the maximum-likelihood estimate.

    Raises ValueError where there is no frame, or where a code is not finite.
    """
    frames, pairs, clips = _Moments(), _Moments(), _Moments()
    tracks: tuple[str, ...] = ()
    for sequence in sequences:
        tracks = tuple(sequence.conditions.tracks)
        codes = rows_of(sequence).detach().double().cpu().numpy()  # batch row frame
        clips.add(sequence.clip.detach().double().cpu().numpy())
        for code in codes:
            frames.add(code.T)
            pairs.add(np.concatenate([code[:, :-1], code[:, 1:]]).T)
    if frames.n == 0:
        raise ValueError("no latent frame to fit; the training set gave none")
    mean, covariance = frames.result()
    clip_mean, clip_covariance = clips.result()
    width = len(mean)
    lag1 = pairs.result()[1][width:, :width] if pairs.n else np.zeros_like(covariance)
    if not (np.isfinite(covariance).all() and np.isfinite(clip_covariance).all()):
        raise ValueError("latents are not finite (NaN or infinity); the encoder has diverged")
    return LatentStatistics(
        mean=mean,
        covariance=covariance,
        lag1_covariance=lag1,
        clip_mean=clip_mean,
        clip_covariance=clip_covariance,
        n_frames=frames.n,
        n_clips=clips.n,
        tracks=tracks,
    )


class _Moments:
    """Running sums of rows, shifted by the first block's mean against cancellation."""

    def __init__(self) -> None:
        self.n = 0
        self.shift: NDArray[np.float64] = np.zeros(0)
        self.total: NDArray[np.float64] = np.zeros(0)
        self.outer: NDArray[np.float64] = np.zeros((0, 0))

    def add(self, rows: NDArray[np.float64]) -> None:
        if len(rows) == 0:
            return
        if self.n == 0:
            self.shift = rows.mean(axis=0)
            self.total = np.zeros_like(self.shift)
            self.outer = np.zeros((len(self.shift), len(self.shift)))
        centred = rows - self.shift
        self.n += len(rows)
        self.total += centred.sum(axis=0)
        self.outer += centred.T @ centred

    def result(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and covariance."""
        offset = self.total / self.n
        return self.shift + offset, self.outer / self.n - np.outer(offset, offset)
