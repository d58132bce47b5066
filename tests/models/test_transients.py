"""Bursts of noise inside a frame: where they sound, how loud, and that they can be learned."""

import pytest
import torch
from torch import Tensor

from timbrel.models.moving import moving
from timbrel.models.transients import Bursts, Transients

RATE_HZ, HOP, FRAMES, STEPS = 48_000, 512, 9, 16
CLICK = 4 * HOP + 300


def transients(channels: int = 1, width: int = 2) -> Transients:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Transients(
            width, channels=channels, steps=STEPS, sample_rate_hz=RATE_HZ, hop_samples=HOP
        )


def a_stroke() -> tuple[Tensor, Tensor]:
    """Features that tell of one frame, and the level of a sound that begins in it."""
    features = torch.zeros(1, FRAMES, 2)
    features[:, 4, 0] = 1.0
    loudness_db = torch.full((1, FRAMES), -60.0)
    loudness_db[:, 4:] = -20.0
    return features, loudness_db


def sound(of: Transients, features: Tensor, loudness_db: Tensor) -> Tensor:
    zero = torch.zeros_like(features[..., :1])
    return of(of.bursts(features, zero, zero, loudness_db), None)


def share_within_a_millisecond(audio: Tensor) -> float:
    power, reach = audio.detach().square().sum((0, 1)), RATE_HZ // 1000
    return float(power[CLICK - reach : CLICK + reach].sum() / power.sum())


def test_a_click_lies_within_a_millisecond() -> None:
    branch, (features, loudness_db) = transients(), a_stroke()
    with torch.no_grad():
        branch.steps.weight[:, 0] = 6.0
        even = sound(branch, features, loudness_db)
        branch.steps.weight[:, 0] = -6.0
        branch.steps.weight[(CLICK % HOP) * STEPS // HOP, 0] = 6.0
        at_once = sound(branch, features, loudness_db)
    assert share_within_a_millisecond(even) < 0.25  # as all noise whose levels are of frames
    assert share_within_a_millisecond(at_once) > 0.999


def test_a_click_is_learned_from_levels_of_short_windows() -> None:
    branch, (features, loudness_db) = transients(), a_stroke()
    wanted = torch.full((FRAMES * HOP // 64,), 1e-3)
    wanted[CLICK // 64] = 0.3
    optimizer = torch.optim.Adam(branch.parameters(), lr=0.3)
    for _ in range(60):
        optimizer.zero_grad()
        found = sound(branch, features, loudness_db)[0, 0].unflatten(0, (-1, 64))
        levels = (found.square().mean(1) + 1e-6).sqrt()
        (levels.log() - wanted.log()).square().mean().backward()
        optimizer.step()
    assert share_within_a_millisecond(sound(branch, features, loudness_db)) > 0.95


@pytest.mark.parametrize("channels", [1, 2])
def test_bursts_have_the_power_that_they_say(channels: int) -> None:
    branch, rng = transients(channels), torch.Generator().manual_seed(0)
    n_frames = 400
    gains = 0.1 + torch.rand(1, channels, n_frames, STEPS, generator=rng)
    colour = torch.linspace(-2.0, 1.0, HOP + 1).expand(1, channels, n_frames, -1)
    bursts = Bursts(colour, gains)
    found = branch(bursts, torch.tensor([3])).square().mean(2).sum()
    # In straight lines between steps that are drawn the power is lower: (2 + rho) / 3 of a mean.
    mean, square = gains.mean(), gains.square().mean()
    straight = float((2 * square + mean**2) / (3 * square))
    assert float(found) == pytest.approx(straight * float(bursts.power().mean()), rel=0.03)
    assert torch.equal(bursts.times(torch.full((1, n_frames, HOP + 1), 1.0)).colour, colour)
    doubled = bursts.times(torch.full((1, n_frames, HOP + 1), 2.0)).power()
    torch.testing.assert_close(doubled, 4 * bursts.power())


def test_where_the_level_hardly_moves_nothing_bursts() -> None:
    branch, (features, loudness_db) = transients(), a_stroke()
    peaks = sound(branch, features, loudness_db)[0, 0].detach().unflatten(0, (-1, HOP))
    peaks = peaks.abs().amax(1)
    assert peaks[3:6].min() > 1e-4
    assert peaks[[0, 7, 8]].max() == 0
    flat = moving(torch.linspace(-60.0, -52.0, 9)[None])
    assert torch.equal(flat, torch.zeros(1, 9))
    step = moving(torch.tensor([[0.0, 0.0, 0.0, -2.75, -2.75, -2.75, -2.75]]))
    assert step.tolist() == [[0, 0.5, 0.5, 0.5, 0.5, 0, 0]]


def test_bursts_have_a_noise_of_their_own() -> None:
    branch, at = transients(), torch.tensor([7])
    bursts = Bursts(torch.zeros(1, 1, FRAMES, HOP + 1), torch.ones(1, 1, FRAMES, STEPS))
    found, noise = branch(bursts, at), branch.white(bursts.colour, at)
    alike = (found * noise).mean() / (found.square().mean() * noise.square().mean()).sqrt()
    assert abs(float(alike)) < 0.1
    cut = Bursts(bursts.colour[:, :, 1:], bursts.gains[:, :, 1:])
    torch.testing.assert_close(branch(cut, at + 1)[..., HOP:], found[..., 2 * HOP :])
