"""The prior has the moments it was given, whatever the block length."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from timbrel.analysis.latent_statistics import fit_latent_statistics
from timbrel.contracts import Latent
from timbrel.errors import UserError
from timbrel.generation.prior.gaussian import PriorSource
from timbrel.generation.statistics import (
    LatentStatistics,
    load_latent_statistics,
    save_latent_statistics,
)

TRANSITION = np.array([[0.8, 0.3, 0.0], [-0.3, 0.8, 0.0], [0.0, 0.0, 0.5]])
MIXING = np.array([[2.0, 0.5, 0.0], [0.0, 1.0, 0.3], [0.1, 0.0, 0.2]])
MEAN = np.array([1.0, -2.0, 10.0])


def _known() -> LatentStatistics:
    """A rotating (irreversible) process: its lag-1 covariance is not symmetric."""
    return LatentStatistics(
        mean=MEAN,
        covariance=MIXING @ MIXING.T,
        lag1_covariance=MIXING @ TRANSITION @ MIXING.T,
        clip_mean=np.array([3.0, 4.0]),
        clip_covariance=np.array([[1.0, 0.5], [0.5, 2.0]]),
        n_frames=1000,
        n_clips=10,
    )


def _draw(statistics: LatentStatistics, n_frames: int, **settings) -> Latent:
    settings = {"seed": 0, **settings}
    source = PriorSource(statistics, n_samples=512 * n_frames, hop_samples=512, **settings)
    blocks = list(source.blocks())
    return Latent(torch.cat([b.frames for b in blocks], 2), blocks[0].clip)


def test_a_drawn_trajectory_has_the_given_moments() -> None:
    known = _known()
    n = 60_000
    drawn = fit_latent_statistics([_draw(known, n)])
    # Neighbours within about 10 frames say the same: n / 20 independent draws, 4 sigma.
    tolerance = 4 / np.sqrt(n / 20)
    scale = np.sqrt(np.diag(known.covariance))
    assert_allclose((drawn.mean - known.mean) / scale, 0, atol=tolerance)
    outer = np.outer(scale, scale)
    assert_allclose((drawn.covariance - known.covariance) / outer, 0, atol=2 * tolerance)
    assert_allclose((drawn.lag1_covariance - known.lag1_covariance) / outer, 0, atol=2 * tolerance)


def test_the_first_frame_is_stationary_already() -> None:
    known = _known()
    first = np.stack([_draw(known, 1, seed=s).frames[0, :, 0].numpy() for s in range(4000)])
    scale = np.sqrt(np.diag(known.covariance))
    assert_allclose((first.mean(0) - known.mean) / scale, 0, atol=4 / np.sqrt(4000))
    assert_allclose(
        (np.cov(first.T) - known.covariance) / np.outer(scale, scale), 0, atol=6 / np.sqrt(4000)
    )


def test_the_transition_solves_the_stationarity_equation() -> None:
    known = _known()
    basis, transition = known.principal()
    assert_allclose(basis @ basis.T, known.covariance, atol=1e-12)
    assert_allclose(basis @ transition @ basis.T, known.lag1_covariance, atol=1e-12)
    assert np.linalg.norm(transition, 2) < 1


@pytest.mark.parametrize("block_frames", [1, 7, 256, 5000])
def test_blocks_do_not_change_the_draw(block_frames: int) -> None:
    whole = _draw(_known(), 600)
    cut = _draw(_known(), 600, block_frames=block_frames)
    assert torch.equal(whole.frames, cut.frames)
    assert torch.equal(whole.clip, cut.clip)


def test_a_longer_draw_begins_like_a_shorter_one_and_seeds_differ() -> None:
    assert torch.equal(_draw(_known(), 600).frames[:, :, :50], _draw(_known(), 50).frames)
    assert not torch.equal(_draw(_known(), 50).frames, _draw(_known(), 50, seed=1).frames)


def test_temperature_scales_deviations_and_zero_is_the_mean() -> None:
    warm, hot = (_draw(_known(), 40, temperature=t).frames[0].double().numpy() for t in (1, 2))
    assert_allclose(hot - MEAN[:, None], 2 * (warm - MEAN[:, None]), atol=1e-5)
    still = _draw(_known(), 40, temperature=0)
    assert_array_equal(still.frames[0, :, 7].numpy(), MEAN.astype(np.float32))
    assert_array_equal(still.clip[0].numpy(), np.float32([3, 4]))


def test_clip_codes_have_the_given_moments() -> None:
    codes = np.stack([_draw(_known(), 1, seed=s).clip[0].numpy() for s in range(4000)])
    assert_allclose(codes.mean(0), [3, 4], atol=0.1)
    assert_allclose(np.cov(codes.T), [[1, 0.5], [0.5, 2]], atol=0.2)


def test_dead_dimensions_and_empty_codes_are_drawn_as_their_mean() -> None:
    dead = np.diag([1.0, 0.0])
    statistics = LatentStatistics(
        np.array([0.0, 5.0]), dead, 0.9 * dead, np.zeros(0), np.zeros((0, 0)), 100, 1
    )
    latent = _draw(statistics, 20)
    assert (latent.frames[0, 1] == 5).all()
    assert latent.frames[0, 0].std() > 0
    assert latent.clip.shape == (1, 0)
    empty = np.zeros((0, 0))
    clip_only = LatentStatistics(np.zeros(0), empty, empty, np.ones(1), np.eye(1), 100, 1)
    assert _draw(clip_only, 20).frames.shape == (1, 0, 20)


def test_a_correlation_above_one_stays_stationary() -> None:
    # Few frames can give a lag-1 covariance above the variance; the trajectory must not explode.
    statistics = LatentStatistics(
        np.zeros(1), np.eye(1), 1.3 * np.eye(1), np.zeros(0), np.zeros((0, 0)), 3, 1
    )
    assert _draw(statistics, 20_000).frames.abs().max() < 10


def test_statistics_survive_a_file_exactly(tmp_path) -> None:
    known = _known()
    path = tmp_path / "latents.safetensors"
    save_latent_statistics(path, known)
    loaded = load_latent_statistics(path)
    for name in LatentStatistics.__annotations__:
        assert_array_equal(getattr(loaded, name), getattr(known, name))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(UserError, match=r"latents\.safetensors"):
        load_latent_statistics(path)
