"""A controlled weight reaches its target rate, on a problem with a known rate for every weight."""

import math
from typing import Any

import pytest
import torch

from timbrel.losses.control import Controller, TargetRate
from timbrel.losses.latent import kl_nats
from timbrel.losses.mix import LossMix
from timbrel.losses.schedules import Ramp


class Toy:
    """One Gaussian per data point, half a squared error as reconstruction; learned by descent.

    At the optimum of (z - x)^2 / 2 + beta KL every variance is beta / (1 + beta), and the mean x
    over 1 + beta: the rate follows from beta.
    """

    def __init__(self, **settings: Any) -> None:
        rng = torch.Generator().manual_seed(0)
        self.x = 3.0 * torch.randn(64, 4, generator=rng)
        self.mean = torch.zeros(64, 4, requires_grad=True)
        self.log_var = torch.full((64, 4), -4.0, requires_grad=True)
        self.optimizer = torch.optim.Adam([self.mean, self.log_var], lr=0.02)
        self.mix = LossMix({"error": 1.0, "kl": TargetRate(**settings)})
        self.rate = math.nan

    def step(self, index: int) -> float:
        error = 0.5 * ((self.mean - self.x).square() + self.log_var.exp()).sum(1)
        kl = kl_nats(self.mean, self.log_var).sum(1)
        objective = self.mix({"error": error, "kl": kl}, index)
        self.optimizer.zero_grad()
        objective.total.backward()
        self.optimizer.step()
        self.rate = kl.mean().item()
        self.mix.observe(self.rate)
        return objective.weights["kl"]


@pytest.mark.parametrize(("target", "start"), [(2.0, 1.0), (5.0, 1.0), (5.0, 100.0), (9.0, 0.01)])
def test_the_rate_is_met(target: float, start: float) -> None:
    toy = Toy(target_nats_per_frame=target, start=start)
    rates = []
    for index in range(1200):
        beta = toy.step(index)
        rates.append(toy.rate)
    assert all(abs(rate / target - 1) < 0.1 for rate in rates[-300:])
    assert toy.rate == pytest.approx(target, rel=0.02)
    optimum = kl_nats(toy.x / (1 + beta), torch.tensor(beta / (1 + beta)).log()).sum(1).mean()
    assert toy.rate == pytest.approx(float(optimum), rel=0.15)  # descent is not done


def test_a_resumed_controller_goes_on_as_if_nothing_had_been() -> None:
    one, other = (TargetRate(target_nats_per_frame=4.0) for _ in range(2))
    rates = [4.0 + 3.0 * math.sin(0.1 * i) for i in range(60)]
    for rate in rates[:30]:
        one.observe(rate)
    other.restore(one.state())
    after = []
    for controller in (one, other):
        after.append([])
        for rate in rates[30:]:
            controller.observe(rate)
            after[-1].append(controller(0))
    assert after[0] == after[1]


def test_a_controller_that_saw_nothing_can_be_restored() -> None:
    fresh = TargetRate(target_nats_per_frame=4.0, start=2.0)
    other = TargetRate(target_nats_per_frame=4.0)
    other.restore(fresh.state())
    assert other(0) == pytest.approx(2.0)


def test_the_weight_stays_within_its_limits() -> None:
    weight = TargetRate(target_nats_per_frame=1.0, lowest=0.5, highest=2.0)
    for rate, limit in ((1e9, 2.0), (0.0, 0.5)):
        for _ in range(500):
            weight.observe(rate)
        assert weight(0) == pytest.approx(limit)


def test_a_mix_tells_controllers_alone_and_keeps_their_state() -> None:
    ramp = Ramp(start=0.0, stop=1.0, steps=10)
    mix = LossMix({"a": 1.0, "b": ramp, "kl": TargetRate(target_nats_per_frame=1.0)})
    assert list(mix.controllers) == ["kl"]
    assert not isinstance(ramp, Controller)
    mix.observe(50.0)
    again = LossMix({"a": 1.0, "b": ramp, "kl": TargetRate(target_nats_per_frame=1.0)})
    again.restore(mix.state())
    assert again.weights_at(3) == mix.weights_at(3)
    assert again.weights_at(3)["kl"] > 1.0


@pytest.mark.parametrize(
    "settings",
    [
        {"target_nats_per_frame": 0.0},
        {"target_nats_per_frame": 1.0, "start": 0.0},
        {"target_nats_per_frame": 1.0, "start": 2.0, "highest": 1.0},
        {"target_nats_per_frame": 1.0, "gain": 0.0},
        {"target_nats_per_frame": 1.0, "smoothing": 1.0},
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="above 0"):
        TargetRate(**settings)
