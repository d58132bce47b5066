"""Floors and capacity: values and gradients above, at and below, in nats per frame."""

import pytest
import torch

from losses.latent.codes import terms
from timbrel.contracts import Latent, Posterior
from timbrel.losses.latent import KL, Capacity, FreeBits, KLFloor
from timbrel.losses.schedules import Ramp

TIME, FRAMES, CLIPS = 40, 5, 3


def posterior(frame_nats: list[float], clip_nats: list[float]) -> Posterior:
    """Unit variances and means such that every value of dimension j costs `nats[j]`."""
    frames = torch.tensor(frame_nats).mul(2).sqrt()[None, :, None]
    clip = torch.tensor(clip_nats).mul(2).sqrt()[None]
    mean = Latent(
        frames.expand(CLIPS, -1, FRAMES).clone().requires_grad_(),
        clip.expand(CLIPS, -1).clone().requires_grad_(),
    )
    return Posterior(mean, mean.map(torch.zeros_like))


def test_free_bits_above_and_below_the_floor() -> None:
    given = posterior([0.1, 2.0, 0.3], [0.2, 3.0])
    penalty = FreeBits(floor_nats_per_frame=0.5, clip_floor_nats=1.0)
    found = terms(penalty, given, given.mean, time=TIME)
    by_hand = FRAMES * (0.5 + 2.0 + 0.5) + 1.0 + 3.0
    assert found["floored_kl"].item() == pytest.approx(by_hand / TIME, rel=1e-6)
    whole = terms(KL(), given, given.mean, time=TIME)["kl"].mean()
    assert found["kl"].item() == pytest.approx(whole.item(), rel=1e-6)

    found["floored_kl"].backward()
    frames, clip = given.mean.frames.grad, given.mean.clip.grad
    assert frames is not None
    assert clip is not None
    assert [bool((frames[:, j] != 0).any()) for j in range(3)] == [False, True, False]
    assert [bool((clip[:, j] != 0).any()) for j in range(2)] == [False, True]
    # above the floor it is the rate's own gradient: the mean, over clips and samples
    torch.testing.assert_close(frames[:, 1], given.mean.frames[:, 1].detach() / CLIPS / TIME)


def test_free_bits_wholly_below_are_floor_times_dimensions() -> None:
    given = posterior([0.1] * 7, [])
    penalty = FreeBits(floor_nats_per_frame=0.5, clip_floor_nats=1.0)
    found = terms(penalty, given, given.mean, time=TIME)
    assert found["floored_kl"].item() == pytest.approx(7 * 0.5 * FRAMES / TIME, rel=1e-6)


@pytest.mark.parametrize(("floor", "expected"), [(4.0, 4.0), (1.0, 2.4)])
def test_a_floor_under_the_whole_rate(floor: float, expected: float) -> None:
    given = posterior([0.1, 2.0, 0.3], [])  # 2.4 nats per frame
    found = terms(KLFloor(floor_nats_per_frame=floor), given, given.mean, time=TIME)
    assert found["floored_kl"].item() == pytest.approx(expected * FRAMES / TIME, rel=1e-6)
    assert found["kl"].item() == pytest.approx(2.4 * FRAMES / TIME, rel=1e-6)
    found["floored_kl"].backward()
    assert given.mean.frames.grad is not None
    assert bool((given.mean.frames.grad != 0).any()) is (expected == 2.4)


def test_capacity_is_the_distance_from_a_ramp() -> None:
    given = posterior([0.1, 2.0, 0.3], [0.5, 2.0])  # 2.4 + 2.5 / 5 = 2.9 nats per frame
    ramp = Capacity(target_nats_per_frame=Ramp(start=0.0, stop=5.8, steps=100))
    for step, expected in ((0, 2.9), (25, 1.45), (50, 0.0), (100, 2.9)):
        found = terms(ramp, given, given.mean, time=TIME, step=step)["capacity"]
        assert float(found.detach()) == pytest.approx(expected * FRAMES / TIME, abs=1e-7)
    at_rate = terms(Capacity(target_nats_per_frame=2.9), given, given.mean, time=TIME)["capacity"]
    assert float(at_rate.detach()) == pytest.approx(0.0, abs=1e-7)


@pytest.mark.parametrize(("target", "sign"), [(1.0, 1.0), (9.0, -1.0)])
def test_capacity_pulls_towards_its_target(target: float, sign: float) -> None:
    given = posterior([1.0, 2.0], [])
    terms(Capacity(target_nats_per_frame=target), given, given.mean)["capacity"].backward()
    assert given.mean.frames.grad is not None
    assert bool((given.mean.frames.grad * sign > 0).all())


def test_settings_below_zero_are_refused() -> None:
    for build in (
        lambda: FreeBits(floor_nats_per_frame=-1.0, clip_floor_nats=0.0),
        lambda: FreeBits(floor_nats_per_frame=1.0, clip_floor_nats=-1.0),
        lambda: KLFloor(floor_nats_per_frame=-0.1),
        lambda: Capacity(target_nats_per_frame=-0.1),
    ):
        with pytest.raises(ValueError, match="0 or more"):
            build()


@pytest.mark.parametrize(
    "penalty",
    [
        FreeBits(floor_nats_per_frame=1.0, clip_floor_nats=1.0),
        KLFloor(floor_nats_per_frame=1.0),
        Capacity(target_nats_per_frame=1.0),
    ],
)
def test_a_point_has_no_rate(penalty: torch.nn.Module) -> None:
    point = Posterior(posterior([1.0], []).mean, None)
    with pytest.raises(ValueError, match="use a Gaussian one"):
        terms(penalty, point, point.mean)
