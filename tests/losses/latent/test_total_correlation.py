"""The three terms of the rate: their sum, known Gaussians, and the discriminator's view."""

import math

import pytest
import torch

from losses.latent.codes import batch, frames_only, rng, terms
from timbrel.contracts import Latent, Posterior
from timbrel.losses.adversary import Pass
from timbrel.losses.latent import BetaTC, FactorVAE, kl_nats
from timbrel.losses.latent.adversarial import permute_dimensions
from timbrel.losses.latent.total_correlation import decompose, log_density
from timbrel.models.posteriors import sample


def correlated(n: int, rho: float, noise_variance: float) -> Posterior:
    """Means such that the sampled code is N(0, [[1, rho], [rho, 1]]) over the data."""
    draws = torch.randn(n, 2, generator=rng(1), dtype=torch.float64)
    spread = torch.tensor([[1.0, rho], [rho, 1.0]], dtype=torch.float64)
    spread -= noise_variance * torch.eye(2, dtype=torch.float64)
    mean = draws @ torch.linalg.cholesky(spread).T
    log_var = torch.full_like(mean, math.log(noise_variance))
    return Posterior(frames_only(mean), frames_only(log_var))


def test_the_three_terms_sum_to_the_sampled_kl() -> None:
    mean, noise = torch.randn(2, 6, 4, generator=rng(), dtype=torch.float64)
    log_var = 0.3 * noise - 1.0
    z = mean + (0.5 * log_var).exp() * noise
    others = torch.cat([mean, mean + 1.0]), torch.cat([log_var, log_var])
    sampled = (log_density(z, mean, log_var) + 0.5 * z.square() + 0.5 * math.log(2 * math.pi)).sum(
        1
    )
    for known in ((mean, log_var), others):
        assert float(sum(decompose(z, *known))) == pytest.approx(float(sampled.mean()), rel=1e-12)


def test_minibatch_weighted_sampling_finds_a_gaussians_terms() -> None:
    """Many rows against closed forms: TC = -ln(1 - rho^2) / 2, each dimension is N(0, 1)."""
    rho, noise_variance, n = 0.6, 0.2, 2000
    posterior = correlated(n, rho, noise_variance)
    z = sample(posterior, rng(2))
    assert posterior.log_var is not None
    found = decompose(*(part.frames[..., 0] for part in (z, posterior.mean, posterior.log_var)))
    total_correlation = -0.5 * math.log(1 - rho**2)
    noise_entropy = math.log(2 * math.pi * math.e * noise_variance)
    code_entropy = math.log(2 * math.pi * math.e) - total_correlation
    assert float(found[0]) == pytest.approx(code_entropy - noise_entropy, rel=0.03)
    assert float(found[1]) == pytest.approx(total_correlation, abs=0.03)
    assert float(found[2]) == pytest.approx(0.0, abs=0.03)


def test_few_rows_cannot_tell_more_than_log_m() -> None:
    """The stated bias: eight codes far apart share ln 8 nats with their clips, however sharp."""
    mean = 10.0 * torch.randn(8, 3, generator=rng())
    log_var = torch.full_like(mean, -6.0)
    mutual_information, _, _ = decompose(mean, mean, log_var)
    assert float(mutual_information) == pytest.approx(math.log(8), abs=1e-4)


def test_beta_tc_is_in_nats_per_sample_and_sums_to_the_rate() -> None:
    n, frames, time = 400, 6, 60
    mean = Latent(torch.ones(n, 2, frames), 0.5 * torch.ones(n, 3))
    log_var = mean.map(torch.zeros_like)
    posterior = Posterior(mean, log_var)
    found = terms(
        BetaTC(latent_dim=2, clip_dim=3, queue_rows=0), posterior, sample(posterior, rng(5)),
        time=time,
    )  # fmt: skip
    # every clip has the same posterior: nothing is shared, nothing depends, all is dimension-wise
    rate = (2 * frames * 0.5 + 3 * 0.125) / time
    assert float(found["kl"].mean()) == pytest.approx(rate, rel=1e-5)
    assert float(found["mutual_information"]) == pytest.approx(0.0, abs=1e-6)
    assert float(found["total_correlation"]) == pytest.approx(0.0, abs=1e-6)
    # two frame values of a clip, of unit variance: the sampled rate has an error of 1 per row
    assert float(found["dimension_kl"]) == pytest.approx(rate, rel=0.15)


def test_rows_of_the_past_are_compared_with_and_do_not_change_the_sum() -> None:
    posterior = correlated(6, 0.5, 0.2)
    posterior = Posterior(posterior.mean.map(torch.Tensor.float), posterior.log_var)
    assert posterior.log_var is not None
    posterior = Posterior(posterior.mean, posterior.log_var.map(torch.Tensor.float))
    latent = sample(posterior, rng())
    penalty = BetaTC(latent_dim=2, clip_dim=0, queue_rows=12)
    first, second = (terms(penalty, posterior, latent) for _ in range(2))
    assert len(penalty.past_frames.rows()) == 12
    names = ("mutual_information", "total_correlation", "dimension_kl")
    # the same rows once more: q(z) is the same mixture
    for name in names:
        assert float(second[name]) == pytest.approx(float(first[name]), rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("width", [1, 5])
def test_permuting_keeps_columns_and_breaks_rows(width: int) -> None:
    rows = torch.arange(40.0)[:, None].expand(-1, width) + 100 * torch.arange(width)
    permuted = permute_dimensions(rows, rng())
    assert torch.equal(permuted.sort(0).values, rows)
    if width > 1:
        assert ((permuted[:, 0] + 100) == permuted[:, 1]).float().mean() < 0.2


def factor(width: int = 2, clip_dim: int = 0, learning_rate: float = 1e-2) -> FactorVAE:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return FactorVAE(
            latent_dim=width, clip_dim=clip_dim, width=32, layers=2, learning_rate=learning_rate
        )


def own_loss(penalty: FactorVAE, latent: Latent, draws: torch.Generator) -> torch.Tensor:
    n = len(latent.frames)
    forward = Pass(Posterior(latent, None), latent, torch.zeros(n, 1, 100))
    return penalty.own_loss(forward, batch(n), 0, draws)


def test_the_discriminator_learns_the_density_ratio() -> None:
    """Trained on a Gaussian of known correlation, its logit is the total correlation in nats."""
    rho, noise_variance, n = 0.8, 0.1, 2048
    posterior = correlated(n, rho, noise_variance)
    latent = sample(posterior, rng()).map(torch.Tensor.float)
    penalty = factor()
    optimizer = penalty.optimizer()
    for step in range(240):
        part = latent.map(lambda x, i=step % 8: x[256 * i : 256 * i + 256])  # type: ignore[misc]
        optimizer.zero_grad()
        loss = own_loss(penalty, part, rng(step))
        loss.backward()
        optimizer.step()
    assert loss.item() < math.log(2)
    whole = Posterior(latent, latent.map(torch.zeros_like))
    found = penalty(whole, latent, batch(n, time=1), 0, rng())["total_correlation"].mean()
    assert float(found) == pytest.approx(-0.5 * math.log(1 - rho**2), rel=0.15)


def test_the_discriminator_gets_no_gradient_from_the_term_nor_the_code_from_its_loss() -> None:
    penalty = factor(3, 1)
    frames = torch.randn(5, 3, 7, generator=rng()).requires_grad_()
    latent = Latent(frames, torch.randn(5, 1, generator=rng()))
    posterior = Posterior(latent, latent.map(torch.zeros_like))
    found = terms(penalty, posterior, latent, time=70)
    logits_mean = found["total_correlation"].mean()
    logits_mean.backward()
    assert all(p.grad is None for p in penalty.parameters())
    assert frames.grad is not None
    assert int((frames.grad != 0).any(1).sum()) == 5  # one frame of every clip
    own_loss(penalty, latent.map(torch.Tensor.detach), rng()).backward()
    assert all(p.grad is not None for p in penalty.parameters())


def test_a_row_stands_for_a_frame() -> None:
    penalty = factor(2)
    latent = frames_only(torch.randn(4, 2, generator=rng()))
    posterior = Posterior(latent, latent.map(torch.zeros_like))
    logits = penalty.discriminator(latent.frames[..., 0]).squeeze(1) / 100
    torch.testing.assert_close(terms(penalty, posterior, latent)["total_correlation"], logits)
    exact = kl_nats(latent.frames, torch.zeros(4, 2, 1)).sum((1, 2)) / 100
    torch.testing.assert_close(terms(penalty, posterior, latent)["kl"], exact)
