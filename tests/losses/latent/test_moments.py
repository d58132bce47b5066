"""DIP on covariances made by hand, MMD against its integral."""

import math

import numpy as np
import pytest
import torch

from losses.latent.codes import frames_only, rng, terms
from timbrel.contracts import Latent, Posterior
from timbrel.losses.latent import DIP, MMD
from timbrel.losses.latent.dip import covariance
from timbrel.losses.latent.mmd import squared_mmd


def with_covariance(matrix: torch.Tensor, n: int = 50) -> torch.Tensor:
    """Rows whose sample covariance is exactly `matrix`."""
    draws = torch.randn(n, len(matrix), generator=rng(), dtype=torch.float64)
    draws = draws - draws.mean(0)
    whitener = torch.linalg.cholesky(torch.linalg.inv(draws.T @ draws / (n - 1)))
    return (draws @ whitener @ torch.linalg.cholesky(matrix).T).float()


MATRIX = torch.tensor([[1.5, 0.5, 0.0], [0.5, 0.75, -0.25], [0.0, -0.25, 1.0]], dtype=torch.float64)


@pytest.mark.parametrize(("variant", "log_var"), [("i", 0.0), ("i", -3.0), ("ii", -1.0)])
def test_dip_on_a_covariance_by_hand(variant: str, log_var: float) -> None:
    rows = with_covariance(MATRIX)
    posterior = Posterior(frames_only(rows), frames_only(torch.full_like(rows, log_var)))
    penalty = DIP(variant=variant, latent_dim=3, clip_dim=0, queue_rows=0)
    found = terms(penalty, posterior, posterior.mean)
    added = math.exp(log_var) if variant == "ii" else 0.0
    assert float(found["dip_off_diagonal"]) == pytest.approx(2 * (0.5**2 + 0.25**2), rel=1e-4)
    diagonal = sum((v + added - 1.0) ** 2 for v in (1.5, 0.75, 1.0))
    assert float(found["dip_diagonal"]) == pytest.approx(diagonal, rel=1e-4)


def test_dip_costs_nothing_at_the_unit_matrix() -> None:
    rows = with_covariance(torch.eye(4, dtype=torch.float64))
    split = Latent(rows[:, :3, None], rows[:, 3:])  # the clip code joins its frame
    posterior = Posterior(split, split.map(torch.zeros_like))
    found = terms(DIP(variant="i", latent_dim=3, clip_dim=1, queue_rows=0), posterior, split)
    assert float(found["dip_off_diagonal"]) == pytest.approx(0.0, abs=1e-8)
    assert float(found["dip_diagonal"]) == pytest.approx(0.0, abs=1e-8)


def test_a_queue_changes_the_estimate_and_not_the_pull() -> None:
    """With a queue of rows like the present ones the gradient is as large as without."""
    rows = with_covariance(MATRIX).requires_grad_()
    past = rows.detach().clone()
    alone = torch.autograd.grad(covariance(rows, past[:0]).square().sum(), rows)[0]
    joined = torch.autograd.grad(covariance(rows, past).square().sum(), rows)[0]
    torch.testing.assert_close(joined, alone, rtol=0.03, atol=1e-4)  # up to n - 1 against 2 n - 1
    other = covariance(rows, torch.zeros(50, 3))
    assert float(other[0, 0].detach()) == pytest.approx(1.5 * 49 / 99, rel=1e-4)


def expected_kernel(shift: float, width: int, variance: float) -> float:
    """E C / (C + |x|^2), x of `width` values, the first of mean `shift`: an integral over t.

    1 / (1 + r / C) is the integral of exp(-t - t r / C), and a Gaussian's is known.
    """
    scale = 2.0 * width
    t = np.linspace(0, 60, 600_001)
    widened = 1 + 2 * t * variance / scale
    values = np.exp(-t - t * shift**2 / scale / widened) * widened ** (-width / 2)
    return float(np.trapezoid(values, t))


@pytest.mark.parametrize(("width", "shift"), [(1, 0.0), (1, 2.0), (3, 1.0), (8, 0.0)])
def test_mmd_equals_its_closed_form(width: int, shift: float) -> None:
    codes, prior = torch.randn(2, 1500, width, generator=rng())
    codes[:, 0] += shift
    exact = 2 * expected_kernel(0.0, width, 2.0) - 2 * expected_kernel(shift, width, 2.0)
    assert float(squared_mmd(codes, prior)) == pytest.approx(exact, abs=0.03 if shift else 4e-3)
    if shift == 0:
        assert exact == 0.0


def test_mmd_is_unbiased_for_few_rows() -> None:
    """Eight codes of the prior: below and above 0, and 0 on average."""
    generator = rng()
    found = []
    for _ in range(300):
        codes = torch.randn(8, 4, generator=generator)
        found.append(float(squared_mmd(codes, torch.randn(64, 4, generator=generator))))
    assert min(found) < 0 < max(found)
    assert abs(np.mean(found)) < 3 * np.std(found) / math.sqrt(len(found))


def test_mmd_pulls_a_point_mass_apart() -> None:
    rows = (0.1 * torch.randn(8, 4, generator=rng())).requires_grad_()
    latent = frames_only(rows)
    found = terms(MMD(), Posterior(latent, None), latent)["mmd"]
    assert float(found.detach()) > 0.1
    found.backward()
    assert rows.grad is not None
    outwards = -(rows.grad * (rows.detach() - rows.detach().mean(0))).sum()
    assert float(outwards) > 0


def test_one_clip_has_no_distribution() -> None:
    latent = frames_only(torch.ones(1, 4))
    assert float(terms(MMD(), Posterior(latent, None), latent)["mmd"]) == 0.0
    with pytest.raises(ValueError, match="2 or more"):
        MMD(prior_rows=1)
