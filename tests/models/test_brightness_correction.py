"""Tilts of spectra: the centroid that is asked for, within limits, and none at its aim."""

import math

import pytest
import torch

from timbrel.models.brightness_correction import BrightnessCorrection

RATE_HZ, BINS = 48_000, 1025
BINS_HZ = torch.arange(BINS) * RATE_HZ / (2 * (BINS - 1))


def correction() -> BrightnessCorrection:
    return BrightnessCorrection(bins=BINS, sample_rate_hz=RATE_HZ)


def lorentzian(width_hz: float) -> torch.Tensor:
    """A falling spectrum of power, one frame."""
    return (1 / (1 + (BINS_HZ / width_hz) ** 4))[None, None]


def centroid_hz(power: torch.Tensor) -> float:
    return float((power @ BINS_HZ) / power.sum(2))


@pytest.mark.parametrize("width_hz", [200.0, 1000.0, 5000.0])
@pytest.mark.parametrize("octaves", [-0.15, 0.3])
@pytest.mark.parametrize("level", [1e-3, 1.0, 1e6])
def test_the_centroid_becomes_the_one_asked_for(
    width_hz: float, octaves: float, level: float
) -> None:
    power = level * lorentzian(width_hz)
    wanted = centroid_hz(power) * 2**octaves
    factor = correction()(power, torch.tensor([[wanted]]))
    found = centroid_hz(factor.square() * power)
    assert math.log2(found / wanted) == pytest.approx(0.0, abs=0.02)


def test_what_is_bright_as_it_should_be_stays() -> None:
    power = lorentzian(800.0)
    factor = correction()(power, torch.tensor([[centroid_hz(power)]]))
    torch.testing.assert_close(factor, torch.ones_like(factor), atol=0.01, rtol=0.0)


@pytest.mark.parametrize("wanted_hz", [0.0, 30.0, 20_000.0])
@pytest.mark.parametrize("power", [lorentzian(500.0), torch.zeros(1, 1, BINS)])
def test_an_aim_out_of_reach_costs_one_nepers_tilt_at_most(
    wanted_hz: float, power: torch.Tensor
) -> None:
    factor = correction()(power, torch.tensor([[wanted_hz]])).log()
    assert torch.isfinite(factor).all()
    assert factor.abs().max() <= 0.5 + 1e-6
    steps = factor.diff(dim=2)
    assert (steps >= -1e-6).all() or (steps <= 1e-6).all()


@pytest.mark.parametrize("octaves", [-1.5, 1.0, 2.5])
def test_a_control_reaches_an_aim_that_is_out_of_reach_otherwise(octaves: float) -> None:
    power = lorentzian(500.0)
    wanted = torch.tensor([[centroid_hz(power) * 2**octaves]])
    alone = correction()(power, wanted)
    more = correction()(power, wanted, torch.tensor([[40.0]]))
    assert abs(math.log2(centroid_hz(alone.square() * power) / float(wanted))) > 0.1
    found = centroid_hz(more.square() * power)
    assert math.log2(found / float(wanted)) == pytest.approx(0.0, abs=0.02)


def test_no_more_tilt_is_the_tilt_of_a_recording() -> None:
    power, wanted = lorentzian(500.0), torch.tensor([[900.0]])
    torch.testing.assert_close(
        correction()(power, wanted, torch.zeros(1, 1)), correction()(power, wanted),
        atol=0.01, rtol=0.0,
    )  # fmt: skip


def test_far_above_the_sound_a_faint_noise_is_not_lifted_without_end() -> None:
    power = lorentzian(300.0) + 1e-9
    factor = correction()(power, torch.tensor([[2 * centroid_hz(power)]]))
    high = factor[0, 0, BINS_HZ > 2000.0]
    assert float(high.max() - high.min()) < 1e-6
    assert float(high.max()) <= math.exp(0.5) + 1e-6


def test_each_frame_stands_for_itself() -> None:
    power = torch.cat([lorentzian(300.0), lorentzian(3000.0)], dim=1)
    wanted = torch.tensor([[400.0, 1500.0]])
    both = correction()(power, wanted)
    for i in range(2):
        alone = correction()(power[:, i : i + 1], wanted[:, i : i + 1])
        torch.testing.assert_close(both[:, i : i + 1], alone)
