"""The frame grid and its inverse: exact frame counts, exact levels, a round trip to rounding."""

import math

import pytest
import torch
from numpy.testing import assert_allclose
from torch import Tensor

from timbrel.dsp.stft import hann, istft, overlap_add, power, spectra, stft


def _noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("frames", [1, 2, 7])
@pytest.mark.parametrize(("window", "hop"), [(2048, 512), (1024, 512), (96, 24), (8, 2)])
def test_one_frame_per_hop_and_back_within_rounding(window: int, hop: int, frames: int) -> None:
    audio = _noise(3, frames * hop)
    spectrum = stft(audio, hann(window), hop)
    assert spectrum.shape == (3, window // 2 + 1, frames)
    back = istft(spectrum, hann(window), hop)
    assert back.shape == audio.shape
    assert (back - audio).abs().max() < 1e-5


@pytest.mark.parametrize("window", [torch.hamming_window(512), hann(512).sqrt(), torch.ones(512)])
def test_any_window_is_undone(window: Tensor) -> None:
    audio = _noise(1, 4 * 128)
    assert (istft(stft(audio, window, 128), window, 128) - audio).abs().max() < 1e-5


def test_a_window_as_long_as_the_hop() -> None:
    audio = _noise(1, 3 * 64)
    assert (istft(stft(audio, torch.ones(64), 64), torch.ones(64), 64) - audio).abs().max() < 1e-5


def test_hann_is_periodic() -> None:
    n = torch.arange(16)
    assert_allclose(hann(16), torch.sin(torch.pi * n / 16) ** 2, atol=1e-7)


@pytest.mark.parametrize("bin_index", [3, 64, 500])
def test_a_sine_of_amplitude_one_measures_half_the_windows_sum(bin_index: int) -> None:
    window, hop = hann(1024), 256
    time = torch.arange(16 * hop, dtype=torch.float64)
    sine = torch.sin(2 * math.pi * bin_index / 1024 * time + 0.3).float()
    inner = stft(sine, window, hop).abs()[:, 2:-2]  # the outermost windows reach into zeros
    assert_allclose(inner[bin_index], float(window.sum() / 2), rtol=1e-5)
    assert (inner.argmax(0) == bin_index).all()
    assert inner[bin_index + 2 :].max() < 1e-4 * window.sum()  # Hann: three bins, no more


def test_a_frame_is_centred_on_its_own_hop() -> None:
    window, hop = hann(1024), 256
    for frame in (0, 3, 7):
        impulse = torch.zeros(8 * hop)
        impulse[frame * hop + hop // 2] = 1.0
        energy = stft(impulse, window, hop).abs().square().sum(0)
        assert energy.argmax() == frame
        # equally far to both sides: the grid is symmetric
        assert frame in (0, 7) or energy[frame - 1] == pytest.approx(float(energy[frame + 1]))


def test_energy_is_kept() -> None:
    """Parseval: with Hann at a quarter hop, the squared windows add up to 3/8 * 4."""
    window, hop = hann(1024), 256
    audio = torch.nn.functional.pad(_noise(40 * hop), (1024, 1024))
    power = stft(audio, window, hop).abs().square()
    power[1:-1] *= 2  # bins that stand for their conjugates too
    assert_allclose(power.sum() / 1024, 1.5 * audio.square().sum(), rtol=1e-5)


def test_any_leading_axes() -> None:
    audio = _noise(2, 3, 512)
    whole = stft(audio, hann(256), 64)
    assert whole.shape == (2, 3, 129, 8)
    assert_allclose(whole[1, 2], stft(audio[1, 2], hann(256), 64), atol=1e-6)


def test_the_inverse_is_least_squares() -> None:
    """Griffin & Lim 1984: of all signals, the answer's STFT is the nearest to any given array."""
    window, hop = hann(256).double(), 64
    rng = torch.Generator().manual_seed(1)
    given = torch.randn(1, 129, 6, dtype=torch.complex128, generator=rng)
    weights = torch.full((129, 1), 2.0, dtype=torch.float64)
    weights[0] = weights[-1] = 1.0

    def miss(audio: Tensor) -> Tensor:
        return (weights * (stft(audio, window, hop) - given).abs().square()).sum()

    best = istft(given, window, hop).requires_grad_(True)
    (slope,) = torch.autograd.grad(miss(best), best)
    # frames at the edges reach beyond the signal, where it cannot answer: they do not pull either
    assert slope.abs().max() < 1e-9 * float(miss(best.detach()))


@pytest.mark.parametrize(("time", "window", "hop"), [(513, 2048, 512), (512, 1023, 512)])
def test_what_is_no_grid_is_refused(time: int, window: int, hop: int) -> None:
    with pytest.raises(ValueError, match="not whole hops"):
        stft(torch.zeros(time), hann(window), hop)


def test_overlap_add_equals_a_naive_loop() -> None:
    frames, hop = _noise(2, 5, 12), 3
    slow = torch.zeros(2, 4 * hop + 12)
    for t in range(5):
        slow[:, t * hop : t * hop + 12] += frames[:, t]
    assert_allclose(overlap_add(frames, hop), slow, atol=1e-6)
    with pytest.raises(ValueError, match="12 is not a multiple of the hop 5"):
        overlap_add(frames, 5)


@pytest.mark.parametrize("samples", [256, 400, 401])
def test_spectra_and_their_gradient_are_those_of_rfft(samples: int) -> None:
    window, hop = hann(128), 32
    audio = _noise(2, 1, samples).double().requires_grad_()
    window = window.double()
    found = spectra(audio, window, hop)
    wanted = torch.fft.rfft(audio.unfold(-1, 128, hop) * window)
    assert torch.equal(found, wanted)
    weight = torch.view_as_complex(_noise(*found.shape, 2).double())
    given, asked = (torch.autograd.grad((x * weight).real.sum(), audio)[0] for x in (found, wanted))
    assert_allclose(given, asked, atol=1e-12)


def test_power_is_the_squared_magnitude() -> None:
    spectrum = torch.view_as_complex(_noise(3, 5, 2))
    assert_allclose(power(spectrum), spectrum.abs().square(), rtol=1e-6)
