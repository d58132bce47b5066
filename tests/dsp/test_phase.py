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


def test_an_hour_does_not_drift() -> None:
    n_frames = 337_500
    advance = torch.full((1, n_frames, 1), 1234.567)
    none = torch.zeros(1, n_frames, 1, dtype=torch.bool)
    last = advanced_phases(torch.zeros(1, n_frames, 1), advance, none)[0, -1, 0]
    step = float(torch.remainder(advance[0, 0, 0], 2 * math.pi))  # what float32 holds of it
    wanted = torch.tensor(math.fmod((n_frames - 1) * step, 2 * math.pi))
    assert (turned(last) - turned(wanted)).abs() < 1e-3


def test_the_advance_of_a_frame_that_begins_has_no_gradient() -> None:
    advance = random(1, 6, 1).requires_grad_()
    begins = torch.tensor([[[True], [False], [False], [True], [False], [False]]])
    advanced_phases(random(1, 6, 1), advance, begins).sum().backward()
    assert advance.grad[0, :, 0].tolist() == [0, 2, 1, 0, 2, 1]


def test_periods_are_the_area_under_the_frequency() -> None:
    track = torch.tensor([[100.0, 200.0, 200.0, 50.0]])
    assert elapsed_periods(track, 0.1)[0].tolist() == pytest.approx([0, 15, 35, 47.5])
