"""Moments against numpy over everything at once."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from timbrel.analysis.latent_statistics import fit_latent_statistics
from timbrel.contracts import Latent


def _clips(*lengths: int, offset: float = 0.0) -> list[Latent]:
    rng = torch.Generator().manual_seed(0)
    return [
        Latent(
            torch.randn(1, 3, n, generator=rng, dtype=torch.float64).cumsum(2) + offset,
            torch.randn(1, 2, generator=rng, dtype=torch.float64),
        )
        for n in lengths
    ]


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_one_pass_equals_numpy(offset: float) -> None:
    clips = _clips(40, 1, 17, 100, offset=offset)
    fitted = fit_latent_statistics(iter(clips))
    frames = np.concatenate([c.frames[0].numpy() for c in clips], axis=1)
    codes = np.concatenate([c.clip.numpy() for c in clips])
    earlier = np.concatenate([c.frames[0, :, :-1].numpy() for c in clips], axis=1)
    later = np.concatenate([c.frames[0, :, 1:].numpy() for c in clips], axis=1)
    joint = np.cov(np.concatenate([later, earlier]), bias=True)
    assert_allclose(fitted.mean, frames.mean(1), rtol=1e-12)
    assert_allclose(fitted.covariance, np.cov(frames, bias=True), rtol=1e-6)
    assert_allclose(fitted.lag1_covariance, joint[:3, 3:], rtol=1e-6)
    assert_allclose(fitted.clip_mean, codes.mean(0))
    assert_allclose(fitted.clip_covariance, np.cov(codes.T, bias=True))
    assert (fitted.n_frames, fitted.n_clips) == (158, 4)


def test_a_batch_counts_as_its_rows() -> None:
    clips = _clips(30, 30)
    batch = Latent(torch.cat([c.frames for c in clips]), torch.cat([c.clip for c in clips]))
    one, two = fit_latent_statistics([batch]), fit_latent_statistics(clips)
    assert_allclose(one.lag1_covariance, two.lag1_covariance)
    assert_allclose(one.clip_covariance, two.clip_covariance)


def test_single_frames_have_no_lag() -> None:
    assert (fit_latent_statistics(_clips(1, 1)).lag1_covariance == 0).all()


def test_nothing_and_nan_are_refused() -> None:
    with pytest.raises(ValueError, match="no latent frame"):
        fit_latent_statistics([])
    broken = Latent(torch.full((1, 2, 4), torch.nan), torch.zeros(1, 0))
    with pytest.raises(ValueError, match="not finite"):
        fit_latent_statistics([broken])
