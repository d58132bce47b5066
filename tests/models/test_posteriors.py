"""Draws from the posterior: their generator, their spread, and a deterministic posterior."""

import pytest
import torch
from numpy.testing import assert_allclose

from timbrel.contracts import Latent, Posterior
from timbrel.models.posteriors import GaussianPosterior, sample


def _posterior(mean: float, log_var: float, n: int = 1) -> Posterior:
    return Posterior(
        Latent(torch.full((n, 3, 5), mean), torch.full((n, 2), mean)),
        Latent(torch.full((n, 3, 5), log_var), torch.full((n, 2), log_var)),
    )


def test_a_draw_belongs_to_its_generator() -> None:
    one, two = (sample(_posterior(0.0, 0.0), torch.Generator().manual_seed(4)) for _ in range(2))
    other = sample(_posterior(0.0, 0.0), torch.Generator().manual_seed(5))
    assert torch.equal(one.frames, two.frames)
    assert torch.equal(one.clip, two.clip)
    assert not torch.equal(one.frames, other.frames)


@pytest.mark.parametrize(("mean", "log_var"), [(0.0, 0.0), (2.0, -2.0), (-1.0, 1.5)])
def test_mean_and_variance(mean: float, log_var: float) -> None:
    n = 20_000
    drawn = sample(_posterior(mean, log_var, n), torch.Generator().manual_seed(0))
    variance = float(torch.tensor(log_var).exp())
    for part in (drawn.frames, drawn.clip):
        error = 4 * (variance / part.numel()) ** 0.5
        assert float(part.mean()) == pytest.approx(mean, abs=error)
        assert float(part.var()) == pytest.approx(variance, rel=4 * (2 / part.numel()) ** 0.5)


def test_elements_are_drawn_apart() -> None:
    drawn = sample(_posterior(0.0, 0.0, 20_000), torch.Generator().manual_seed(0))
    code = torch.cat([drawn.frames.flatten(1), drawn.clip], dim=1)
    off_diagonal = torch.corrcoef(code.T) - torch.eye(code.shape[1])
    assert off_diagonal.abs().max() < 5 / 20_000**0.5


def test_the_gradient_passes_to_mean_and_log_var() -> None:
    """d draw / d mean = 1, d draw / d log_var = half the deviation (Kingma & Welling 2014)."""
    posterior = _posterior(1.0, -1.0)
    assert posterior.log_var is not None
    leaves = [
        posterior.mean.frames.requires_grad_(True),
        posterior.log_var.frames.requires_grad_(True),
    ]
    drawn = sample(posterior, torch.Generator().manual_seed(0)).frames
    by_mean, by_log_var = torch.autograd.grad(drawn.sum(), leaves)
    assert_allclose(by_mean, 1.0)
    assert_allclose(by_log_var, (0.5 * (drawn - 1.0)).detach(), rtol=1e-5)


def test_without_variance_the_mean_is_the_draw() -> None:
    point = Posterior(_posterior(3.0, 0.0).mean, None)
    rng = torch.Generator().manual_seed(0)
    state = rng.get_state()
    assert sample(point, rng) is point.mean
    assert torch.equal(rng.get_state(), state)


def test_the_variance_stays_within_its_range() -> None:
    torch.manual_seed(0)
    module = GaussianPosterior(width=6, latent_dim=3, clip_dim=2)
    for loudness in (0.0, 1e4):
        posterior = module(loudness * torch.randn(2, 5, 6))
        assert posterior.log_var is not None
        for part in (posterior.log_var.frames, posterior.log_var.clip):
            assert (part >= -14.0).all()
            assert (part <= 4.0).all()
            if loudness == 0.0:
                assert_allclose(part.detach(), -4.0)  # a quiet start


def test_a_clip_code_pools_all_frames_in_any_order() -> None:
    torch.manual_seed(0)
    module = GaussianPosterior(width=6, latent_dim=0, clip_dim=2)
    features = torch.randn(1, 5, 6)
    one, two = module(features), module(features.flip(1))
    assert_allclose(one.mean.clip.detach(), two.mean.clip.detach(), rtol=1e-5)
    assert one.mean.frames.shape == (1, 0, 5)
