"""The rate: closed form against sampling, and its unit."""

import math

import pytest
import torch
from numpy.testing import assert_allclose

from timbrel.contracts import Batch, Latent, Posterior
from timbrel.losses.latent import KL, kl_nats, rate_nats


def _batch(n: int, time: int) -> Batch:
    audio, index = torch.zeros(n, 1, time), torch.zeros(n, dtype=torch.long)
    return Batch(audio, audio, index, index)


def _posterior(mean: float, log_var: float, *, n: int = 3) -> Posterior:
    """Two dimensions by four frames, and a clip code of three: 11 elements per example."""
    shapes = ((n, 2, 4), (n, 3))
    return Posterior(
        Latent(*(torch.full(shape, mean) for shape in shapes)),
        Latent(*(torch.full(shape, log_var) for shape in shapes)),
    )


@pytest.mark.parametrize(
    ("mean", "variance"), [(0.0, 0.2), (1.0, 1.0), (-2.0, 0.5), (0.5, 3.0), (0.0, 4.0)]
)
def test_closed_form_equals_monte_carlo(mean: float, variance: float) -> None:
    rng = torch.Generator().manual_seed(0)
    given = torch.distributions.Normal(mean, math.sqrt(variance))
    prior = torch.distributions.Normal(0.0, 1.0)
    # antithetic pairs: 1e5 samples within 2 %
    noise = torch.randn(50_000, generator=rng, dtype=torch.float64)
    draws = mean + math.sqrt(variance) * torch.cat([noise, -noise])
    sampled = (given.log_prob(draws) - prior.log_prob(draws)).mean()
    closed = kl_nats(torch.tensor(mean), torch.tensor(variance).log())
    assert closed.item() == pytest.approx(sampled.item(), rel=0.02)


def test_the_prior_itself_costs_exactly_nothing() -> None:
    assert (rate_nats(_posterior(0.0, 0.0)) == 0).all()


def test_the_rate_is_never_negative_and_least_at_the_prior() -> None:
    mean = torch.linspace(-2, 2, 41, dtype=torch.float64)
    log_var = torch.linspace(-3, 3, 41, dtype=torch.float64)
    surface = kl_nats(mean[:, None], log_var[None])
    assert surface.min() > -1e-15  # rounding of exp(v) - 1 - v
    assert surface.argmin() == 20 * 41 + 20


def test_a_clip_sums_its_frames_and_its_clip_code() -> None:
    assert_allclose(rate_nats(_posterior(1.0, 0.0)), [5.5] * 3)  # 11 elements at half a nat
    wide = Posterior(Latent(torch.ones(1, 5, 7), torch.zeros(1, 0)),
                     Latent(torch.zeros(1, 5, 7), torch.zeros(1, 0)))  # fmt: skip
    assert_allclose(rate_nats(wide), [17.5])


def test_the_term_is_nats_per_audio_sample() -> None:
    rng = torch.Generator()
    posterior = _posterior(1.0, 0.0)
    for time in (100, 1000):
        terms = KL()(posterior, posterior.mean, _batch(3, time), 0, rng)
        assert list(terms) == ["kl"]
        assert_allclose(terms["kl"], [5.5 / time] * 3)


def test_examples_have_their_own_rate() -> None:
    posterior = Posterior(
        Latent(torch.tensor([[[0.0]], [[2.0]]]), torch.zeros(2, 0)),
        Latent(torch.zeros(2, 1, 1), torch.zeros(2, 0)),
    )
    assert_allclose(rate_nats(posterior), [0.0, 2.0])


def test_a_deterministic_posterior_is_refused() -> None:
    point = Posterior(_posterior(0.0, 0.0).mean, None)
    with pytest.raises(ValueError, match="deterministic posterior has no finite KL"):
        rate_nats(point)
    with pytest.raises(ValueError, match="use a Gaussian one"):
        KL()(point, point.mean, _batch(3, 10), 0, torch.Generator())
