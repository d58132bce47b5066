"""A weight is applied once; a term without a weight, or the reverse, is told."""

import pytest
import torch
from torch import Tensor

from timbrel.errors import UserError
from timbrel.losses.mix import LossMix
from timbrel.losses.schedules import Ramp
from timbrel.losses.terms import Diagnostic


def _terms(leaf: Tensor) -> dict[str, Tensor]:
    return {"stft_log": leaf.square(), "kl": leaf.exp()}


@pytest.mark.parametrize("weight", [0.0, 0.5, 1.0, 2.0, 7.0])
def test_a_weight_is_applied_once(weight: float) -> None:
    """Value and gradient are linear in it: w, and not w squared nor w over the batch."""
    leaf = torch.tensor([0.3, -1.2], requires_grad=True)
    objective = LossMix({"stft_log": 3.0, "kl": weight})(_terms(leaf), step=0)
    terms = {name: term.detach().mean() for name, term in _terms(leaf).items()}
    expected = 3.0 * terms["stft_log"] + weight * terms["kl"]
    torch.testing.assert_close(objective.total.detach(), expected)
    objective.total.backward()
    by_hand = 3.0 * leaf.detach() + weight * leaf.detach().exp() / 2  # mean over two examples
    torch.testing.assert_close(leaf.grad, by_hand)


def test_the_log_tells_terms_before_weighting() -> None:
    leaf = torch.tensor([0.3, -1.2], requires_grad=True)
    objective = LossMix({"stft_log": 3.0, "kl": 0.0})(_terms(leaf), step=0)
    assert objective.weights == {"stft_log": 3.0, "kl": 0.0}
    assert objective.terms["stft_log"].item() == pytest.approx((0.09 + 1.44) / 2)
    assert not any(term.requires_grad for term in objective.terms.values())
    kept = objective.detached()
    assert not kept.total.requires_grad
    assert kept.total.item() == objective.total.item()


def test_a_diagnostic_is_told_and_weighs_what_it_is_given() -> None:
    """Without a weight it is no part of the sum; with one it is a term as every other."""
    leaf = torch.tensor([0.3, -1.2], requires_grad=True)
    terms = {"stft_log": leaf.square(), "kl": Diagnostic(leaf.exp())}
    seen = LossMix({"stft_log": 3.0})(terms, step=0)
    seen.total.backward()
    torch.testing.assert_close(leaf.grad, 3.0 * leaf.detach())
    assert seen.terms["kl"].item() == pytest.approx(float(leaf.detach().exp().mean()))
    assert seen.weights == {"stft_log": 3.0}
    weighed = LossMix({"stft_log": 3.0, "kl": 2.0})(terms, step=0)
    torch.testing.assert_close(weighed.total, seen.total + 2.0 * leaf.exp().mean())


def test_schedules_are_read_at_the_step() -> None:
    mix = LossMix({"stft_log": 1.0, "kl": Ramp(start=0.0, stop=2.0, steps=10)})
    leaf = torch.tensor([1.0])
    assert [mix(_terms(leaf), step).weights["kl"] for step in (0, 5, 10, 99)] == [
        0.0,
        1.0,
        2.0,
        2.0,
    ]
    assert mix.weights_at(5) == {"stft_log": 1.0, "kl": 1.0}


def test_a_weight_without_a_term_names_the_nearest() -> None:
    with pytest.raises(UserError, match="'stft_lgo' names no loss term; did you mean 'stft_log'"):
        LossMix({"stft_lgo": 1.0, "kl": 1.0})(_terms(torch.ones(1)), 0)


def test_a_term_without_a_weight_is_told() -> None:
    with pytest.raises(UserError, match="loss term 'kl' has no weight; set it to 0"):
        LossMix({"stft_log": 1.0})(_terms(torch.ones(1)), 0)


def test_of_two_mistakes_the_same_one_is_told_everywhere() -> None:
    """Sets have no order of their own: it would differ between processes."""
    with pytest.raises(UserError, match="'aaa'"):
        LossMix({"zzz": 1.0, "mmm": 1.0, "aaa": 1.0, "bbb": 1.0})(_terms(torch.ones(1)), 0)


def test_a_ramp_is_a_straight_line_with_flat_ends() -> None:
    ramp = Ramp(start=0.25, stop=4.25, steps=1000)
    assert [ramp(s) for s in (0, 250, 500, 999, 1000, 10**6)] == [
        0.25, 1.25, 2.25, 4.246, 4.25, 4.25,
    ]  # fmt: skip
    assert Ramp(start=1.0, stop=0.0, steps=4)(3) == 0.25
    assert Ramp(start=0.0, stop=1.0, steps=0)(0) == 0.0  # no division by zero, no nan
    assert Ramp(start=0.0, stop=1.0, steps=0)(1) == 1.0
