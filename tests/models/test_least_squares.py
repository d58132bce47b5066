"""Ridge regression from sums over batches, against scikit-learn's."""

import pytest
import torch
from sklearn.linear_model import Ridge

from timbrel.models.least_squares import Moments, solved


def rows(n: int = 400) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(n, 5, generator=rng) @ torch.randn(5, 5, generator=rng) + 3.0
    y = x @ torch.randn(5, 3, generator=rng) + torch.randn(n, 3, generator=rng)
    return x, y, torch.rand(n, generator=rng)


@pytest.mark.parametrize("ridge", [1e-9, 0.1])
def test_the_line_is_that_of_scikit_learn(ridge: float) -> None:
    x, y, weight = rows()
    moments = Moments()
    moments.add(x, y, weight)
    line = moments.line(ridge)
    of_x, _ = moments.covariances
    alpha = ridge * float(of_x.diagonal().mean()) * float(weight.sum())
    peer = Ridge(alpha=alpha).fit(x.double().numpy(), y.double().numpy(), weight.double().numpy())
    assert line.weight.numpy() == pytest.approx(peer.coef_, rel=1e-6, abs=1e-8)
    assert line.bias.numpy() == pytest.approx(peer.intercept_, rel=1e-6, abs=1e-8)


def test_batches_add_up_and_rows_without_weight_do_not_count() -> None:
    x, y, weight = rows()
    whole, parts = Moments(), Moments()
    whole.add(x, y, weight)
    parts.add(x[:300].view(3, 100, 5), y[:300].view(3, 100, 3), weight[:300].view(3, 100))
    parts.add(x[300:], y[300:], weight[300:])
    parts.add(1e6 * x, -y, torch.zeros(len(x)))
    for one, other in zip(whole.covariances, parts.covariances, strict=True):
        torch.testing.assert_close(one, other)
    assert parts.weight == pytest.approx(float(weight.double().sum()))


def test_inputs_that_never_change_tell_nothing() -> None:
    moments = Moments()
    moments.add(torch.ones(10, 2), torch.arange(10.0)[:, None], torch.ones(10))
    line = moments.line(0.01)
    assert line.weight.abs().max() == 0
    assert float(line.bias) == 4.5
    assert solved(torch.zeros(2, 2), torch.ones(2, 3), ridge=1.0).abs().max() == 0


def test_without_any_row_there_is_no_line() -> None:
    with pytest.raises(ValueError, match="no row"):
        Moments().line(0.1)
