"""Phases that go on: sums, beginnings, streams, and no drift."""

import math

import pytest
import torch

from timbrel.dsp.phase import advanced_phases, elapsed_periods


def turned(phases: torch.Tensor) -> torch.Tensor:
    return torch.polar(torch.ones_like(phases), phases)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return 20 * torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) - 10


def by_hand(start, advance, begins, known=None):
    phases = torch.empty_like(start)
    for frame in range(start.shape[1]):
        if known is not None and frame < known.shape[1]:
            phases[:, frame] = known[:, frame]
            continue
        on = phases[:, frame - 1] + advance[:, frame] if frame else start[:, 0]
        fresh = begins[:, frame] if frame else torch.ones_like(begins[:, 0])
        phases[:, frame] = torch.where(fresh, start[:, frame], on)
    return phases


@pytest.mark.parametrize("n_known", [None, 1, 4, 30])
def test_they_are_those_of_a_loop_over_frames(n_known: int | None) -> None:
    start, advance = random(2, 30, 5), random(2, 30, 5, seed=1)
    begins = torch.rand(2, 30, 5, generator=torch.Generator().manual_seed(2)) < 0.2
    known = None if n_known is None else random(2, n_known, 5, seed=3)
    found = advanced_phases(start, advance, begins, known)
    wanted = by_hand(start, advance, begins, known)
    assert (turned(found) - turned(wanted)).abs().max() < 1e-4


def test_an_hour_drifts_by_less_than_a_tenth_of_a_radian() -> None:
    n_frames = 337_500
    advance = torch.full((1, n_frames, 1), 1234.567)
    none = torch.zeros(1, n_frames, 1, dtype=torch.bool)
    last = advanced_phases(torch.zeros(1, n_frames, 1), advance, none)[0, -1, 0]
    step = float(torch.remainder(advance[0, 0, 0], 2 * math.pi))  # what float32 holds of it
    wanted = torch.tensor(math.fmod((n_frames - 1) * step, 2 * math.pi))
    assert (turned(last) - turned(wanted)).abs() < 0.1


def test_the_advance_of_a_frame_that_begins_has_no_gradient() -> None:
    advance = random(1, 6, 1).requires_grad_()
    begins = torch.tensor([[[True], [False], [False], [True], [False], [False]]])
    advanced_phases(random(1, 6, 1), advance, begins).sum().backward()
    assert advance.grad[0, :, 0].tolist() == [0, 2, 1, 0, 2, 1]


def test_blocks_have_the_phases_of_the_whole_to_the_bit() -> None:
    start, advance = random(1, 90, 3), random(1, 90, 3, seed=1)
    begins = torch.rand(1, 90, 3, generator=torch.Generator().manual_seed(2)) < 0.1
    whole = advanced_phases(start, advance, begins)
    later = advanced_phases(start[:, 40:], advance[:, 40:], begins[:, 40:], whole[:, 40:45])
    assert torch.equal(later, whole[:, 40:])


def test_the_gradients_are_those_of_finite_differences() -> None:
    start, advance = (random(2, 7, 3, seed=s).double().requires_grad_() for s in (0, 1))
    begins = torch.rand(2, 7, 3, generator=torch.Generator().manual_seed(2)) < 0.3
    assert torch.autograd.gradcheck(
        lambda s, a: turned(advanced_phases(s, a, begins)).real, (start, advance)
    )


def test_periods_are_the_area_under_the_frequency() -> None:
    track = torch.tensor([[100.0, 200.0, 200.0, 50.0]])
    assert elapsed_periods(track, 0.1)[0].tolist() == pytest.approx([0, 15, 35, 47.5])
