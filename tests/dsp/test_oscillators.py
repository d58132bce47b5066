"""Sinusoids of a spectrum: phases that go on, streams, gradients, and a lobe that is a window's."""

import math

import numpy as np
import pytest
import torch

from timbrel.dsp.oscillators import carried_on, sinusoids, sinusoids_at
from timbrel.dsp.stft import hann, istft

WINDOW, HOP = 2048, 512


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.polar(torch.rand(*shape, generator=rng), 6.3 * torch.rand(*shape, generator=rng))


@pytest.mark.parametrize("n_known", [None, 1, 4, 30])
def test_states_are_those_of_a_loop_over_frames(n_known: int | None) -> None:
    kept, added = random(2, 30, 5), random(2, 30, 5, seed=1)
    known = None if n_known is None else random(2, n_known, 5, seed=3)
    wanted = list(added.unbind(1))
    for frame in range(30):
        if known is not None and frame < known.shape[1]:
            wanted[frame] = known[:, frame]
        elif frame:
            wanted[frame] = kept[:, frame] * wanted[frame - 1] + added[:, frame]
    found = carried_on(kept, added, known)
    torch.testing.assert_close(found, torch.stack(wanted, 1), atol=1e-6, rtol=0)


def test_an_hour_drifts_by_less_than_a_tenth_of_a_radian() -> None:
    n_frames = 337_500
    turn = torch.polar(torch.ones(1), torch.tensor([1.234567]))
    added = torch.zeros(1, n_frames, 1, dtype=torch.complex64)
    added[0, 0] = 1
    last = carried_on(turn.expand(1, n_frames, 1), added)[0, -1, 0]
    step = math.atan2(float(turn.imag), float(turn.real))  # what float32 holds of it
    wanted = torch.tensor(math.fmod((n_frames - 1) * step, 2 * math.pi))
    angle = last / last.abs()
    assert (angle - torch.polar(torch.ones(()), wanted)).abs() < 0.1
    assert last.abs() == pytest.approx(1, abs=0.05)


def test_blocks_have_the_states_of_the_whole_to_the_bit() -> None:
    kept, added = random(1, 90, 3), random(1, 90, 3, seed=1)
    whole = carried_on(kept, added)
    later = carried_on(kept[:, 40:], added[:, 40:], whole[:, 40:45])
    assert torch.equal(later, whole[:, 40:])


def test_the_gradients_of_states_are_those_of_finite_differences() -> None:
    kept, added = (random(2, 7, 3, seed=s).cdouble().requires_grad_() for s in (0, 1))
    assert torch.autograd.gradcheck(carried_on, (kept, added))


@pytest.mark.parametrize("bin", [2.0, 40.0, 40.3, 40.5, 39.25])
def test_an_oscillator_between_bins_is_a_steady_sine(bin: float) -> None:
    n_frames, place = 40, round(bin)
    amplitude = torch.zeros(n_frames, WINDOW // 2 + 1, dtype=torch.complex64)
    phase = 2 * math.pi * bin * HOP / WINDOW * torch.arange(n_frames)
    amplitude[:, place] = torch.polar(torch.full_like(phase, 0.5), phase)
    deviation = torch.full((n_frames, 100), bin - place)
    spectrum = hann(WINDOW).sum() / 2 * sinusoids(amplitude, deviation)
    audio = istft(spectrum.T[None], hann(WINDOW), HOP)[0, 4 * HOP : -4 * HOP].double().numpy()
    turns = bin / WINDOW * np.arange(len(audio))
    both = np.stack([np.cos(2 * np.pi * turns), np.sin(2 * np.pi * turns)], axis=1)
    weights, *_ = np.linalg.lstsq(both, audio, rcond=None)
    assert np.hypot(*weights) == pytest.approx(0.5, rel=2e-3)
    assert np.mean((audio - both @ weights) ** 2) < 1e-5 * np.mean(audio**2)


def test_a_sinusoid_that_is_placed_near_its_bin_is_the_one_of_that_bin() -> None:
    amplitude, deviation = random(3, 33), 0.4 * random(3, 33, seed=1).real
    placed = sinusoids_at(amplitude, torch.arange(33) + deviation)
    torch.testing.assert_close(placed, sinusoids(amplitude, deviation))


@pytest.mark.parametrize("octaves", [-1.7, -0.3, 0.55, 1.4])
def test_a_sinusoid_that_is_placed_elsewhere_sounds_there(octaves: float) -> None:
    n_frames, own = 60, 40
    glide = np.linspace(0, octaves, n_frames - 20)
    place = 40.3 * 2 ** np.concatenate([np.zeros(10), glide, np.full(10, octaves)])
    step = 2 * np.pi * HOP / WINDOW * (place[1:] + place[:-1]) / 2
    phase = torch.from_numpy(np.concatenate([[0.0], np.cumsum(step)])).float()
    amplitude = torch.zeros(n_frames, WINDOW // 2 + 1, dtype=torch.complex64)
    amplitude[:, own] = torch.polar(torch.full_like(phase, 0.5), phase)
    places = torch.zeros(n_frames, WINDOW // 2 + 1)
    places[:, own] = torch.from_numpy(place).float()
    spectrum = hann(WINDOW).sum() / 2 * sinusoids_at(amplitude, places)
    audio = istft(spectrum.T[None], hann(WINDOW), HOP)[0, 4 * HOP : -4 * HOP].double().numpy()
    last = audio[-4 * HOP :]
    turns = place[-1] / WINDOW * np.arange(len(last))
    both = np.stack([np.cos(2 * np.pi * turns), np.sin(2 * np.pi * turns)], axis=1)
    weights, *_ = np.linalg.lstsq(both, last, rcond=None)
    assert np.hypot(*weights) == pytest.approx(0.5, rel=2e-3)
    assert np.mean((last - both @ weights) ** 2) < 1e-5 * np.mean(last**2)
    loudest = np.abs(audio[: len(audio) // 500 * 500]).reshape(-1, 500).max(1)
    assert loudest.min() > 0.4  # where it goes from bin to bin the phase goes on


def test_what_is_placed_outside_of_the_spectrum_is_left_out() -> None:
    amplitude = random(1, 9)
    assert sinusoids_at(amplitude, torch.full((1, 9), 11.2)).abs().max() == 0
    assert sinusoids_at(amplitude, torch.full((1, 9), -2.8)).abs().max() == 0
    assert torch.isfinite(sinusoids_at(amplitude, torch.full((1, 9), 8.4)).abs()).all()


def test_a_lobe_is_the_spectrum_of_a_window_for_every_bin() -> None:
    """Above the tuned bins there is no deviation, and at both ends a lobe is cut off."""
    amplitude, deviation = random(3, 33), 0.75 * random(3, 9, seed=1).real
    offset = torch.arange(33)[:, None] - torch.arange(33) - torch.nn.functional.pad(
        deviation, (0, 24)
    )[:, None]  # fmt: skip
    lobe = torch.sinc(offset) + 0.5 * torch.sinc(offset - 1) + 0.5 * torch.sinc(offset + 1)
    away = torch.arange(33)[:, None] - torch.arange(33)
    lobe = torch.where(away.abs() <= 2, lobe * (1 - 2 * (away % 2)), 0.0)
    wanted = torch.einsum("fbo,fo->fb", lobe.to(amplitude.dtype), amplitude)
    torch.testing.assert_close(sinusoids(amplitude, deviation), wanted, atol=1e-5, rtol=0)


def test_the_gradients_of_sinusoids_are_those_of_finite_differences() -> None:
    amplitude = random(2, 9).cdouble().requires_grad_()
    deviation = (0.75 * random(2, 4, seed=1).real.double()).requires_grad_()
    assert torch.autograd.gradcheck(sinusoids, (amplitude, deviation))
