"""The written-out gradient against autograd, and silence, where ratios and logarithms break."""

import pytest
import torch
from torch import Tensor

from timbrel.dsp.stft import hann
from timbrel.losses.spectrogram_distance import SpectrogramDistance

FLOOR, SILENCE_RMS = 1e-4, 1e-4


def _distance(
    estimate: Tensor,
    target: Tensor,
    *,
    window: Tensor | None = None,
    hop: int = 16,
    floor: float = FLOOR,
    silence_rms: float = SILENCE_RMS,
) -> tuple[Tensor, Tensor]:
    window = hann(64).to(estimate) if window is None else window
    return SpectrogramDistance.apply(estimate, target, window, hop, floor, silence_rms)


def _reference(
    estimate: Tensor, target: Tensor, window: Tensor, hop: int, floor: float, silence_rms: float
) -> tuple[Tensor, Tensor]:
    """Yamamoto et al. 2020, eq. 5 and 6, with torch.stft, left to autograd."""

    def magnitude(audio: Tensor) -> Tensor:
        spectrum = torch.stft(
            audio.flatten(0, 1), len(window), hop, window=window, pad_mode="constant",
            return_complex=True,
        )  # fmt: skip
        power = spectrum.real**2 + spectrum.imag**2
        return power.clamp_min(floor**2).sqrt().unflatten(0, audio.shape[:2])

    given, wanted = magnitude(estimate), magnitude(target)
    noise = silence_rms**2 * (window**2).sum() * wanted[0].numel()
    norm = (wanted.square().sum((1, 2, 3)) + noise).sqrt()
    relative = (given - wanted).square().sum((1, 2, 3)).sqrt() / norm
    return relative, (given.log() - wanted.log()).abs().mean((1, 2, 3))


def _noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


# time a multiple of the hop or not, shorter than a window, hops up to the window itself
@pytest.mark.parametrize("time", [160, 157, 40, 1])
@pytest.mark.parametrize("hop", [16, 8, 32, 64])
@pytest.mark.parametrize("floor", [1e-4, 3.0])  # 3: about a third of all bins lie below
def test_value_and_gradient_equal_autograd(time: int, hop: int, floor: float) -> None:
    target = _noise(2, 2, time, seed=1)
    ours, theirs = (_noise(2, 2, time).requires_grad_(True) for _ in range(2))
    window = hann(64).double()
    values = _distance(ours, target, hop=hop, floor=floor)
    expected = _reference(theirs, target, window, hop, floor, SILENCE_RMS)
    for value, want in zip(values, expected, strict=True):
        torch.testing.assert_close(value, want, rtol=1e-12, atol=1e-12)
    weights = torch.tensor([[0.3, 2.0], [1.0, -0.7]], dtype=torch.float64)
    (torch.stack(values) * weights).sum().backward()
    (torch.stack(expected) * weights).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("time", [96, 91])
def test_gradcheck(time: int) -> None:
    estimate = _noise(1, 2, time).requires_grad_(True)
    target = _noise(1, 2, time, seed=1)
    assert torch.autograd.gradcheck(lambda x: _distance(x, target, floor=1.0), estimate)


def test_float32_is_close_to_float64() -> None:
    target, estimate = _noise(2, 1, 4000, seed=1), _noise(2, 1, 4000)
    gradients = []
    for dtype in (torch.float32, torch.float64):
        leaf = estimate.to(dtype).requires_grad_(True)
        sum(_distance(leaf, target.to(dtype))).sum().backward()
        assert leaf.grad is not None
        gradients.append(leaf.grad.double())
    worst = (gradients[0] - gradients[1]).abs().max() / gradients[1].abs().max()
    assert worst < 1e-3  # 1 / |X|, where a bin of noise happens to be nearly empty


def test_the_same_signal_costs_nothing_and_pulls_nowhere() -> None:
    audio = _noise(2, 1, 256, dtype=torch.float32)
    leaf = audio.clone().requires_grad_(True)
    relative, log = _distance(leaf, audio)
    assert (relative == 0).all()
    assert (log == 0).all()
    (relative + log).sum().backward()
    assert (leaf.grad == 0).all()


def test_silence_for_silence_costs_nothing() -> None:
    leaf = torch.zeros(2, 1, 256, requires_grad=True)
    relative, log = _distance(leaf, torch.zeros(2, 1, 256))
    assert (relative == 0).all()
    assert (log == 0).all()
    (relative + log).sum().backward()
    assert leaf.grad is not None
    assert (leaf.grad == 0).all()


def test_noise_for_silence_costs_a_finite_amount_that_falls_with_the_noise() -> None:
    silence = torch.zeros(1, 1, 4096)
    noise = _noise(1, 1, 4096, dtype=torch.float32)
    costs = []
    for level in (1e-3, 1e-2, 1e-1):
        leaf = (level * noise).requires_grad_(True)
        relative, log = _distance(leaf, silence)
        (relative + log).sum().backward()
        assert leaf.grad is not None
        assert torch.isfinite(leaf.grad).all()
        assert (leaf.grad * noise).sum() > 0  # downhill is towards less of it
        costs.append((relative.item(), log.item()))
    # the norm of the silent target is that of white noise of silence_rms, plus the floor's
    for level, (relative, _) in zip((1e-3, 1e-2, 1e-1), costs, strict=True):
        assert relative == pytest.approx(level / SILENCE_RMS, rel=0.1)
    # one decade of level is ln 10 of log magnitude
    assert costs[2][1] - costs[1][1] == pytest.approx(2.302585, abs=0.01)


def test_silence_for_noise_is_bounded_by_one() -> None:
    leaf = torch.zeros(1, 1, 4096, requires_grad=True)
    relative, log = _distance(leaf, _noise(1, 1, 4096, dtype=torch.float32))
    assert relative.item() == pytest.approx(1.0, abs=1e-3)
    (relative + log).sum().backward()
    assert leaf.grad is not None
    assert torch.isfinite(leaf.grad).all()


def test_the_target_gets_no_gradient() -> None:
    estimate, target = (_noise(1, 1, 256, seed=s).requires_grad_(True) for s in (0, 1))
    sum(_distance(estimate, target)).sum().backward()
    assert target.grad is None
    assert estimate.grad is not None


def test_bins_below_the_floor_do_not_pull() -> None:
    quiet = (1e-7 * _noise(1, 1, 256)).requires_grad_(True)
    sum(_distance(quiet, _noise(1, 1, 256, seed=1))).sum().backward()
    assert (quiet.grad == 0).all()


def test_silence_after_both_changes_no_sum() -> None:
    """Padding with more silence leaves `relative`, and scales the mean of `log` alone."""
    estimate, target = _noise(1, 1, 160), _noise(1, 1, 160, seed=1)
    padded = [torch.nn.functional.pad(x, (64, 64)) for x in (estimate, target)]
    longer = [torch.nn.functional.pad(x, (64, 64 + 320)) for x in (estimate, target)]
    one = _distance(*padded, silence_rms=0.0, floor=1e-8)
    two = _distance(*longer, silence_rms=0.0, floor=1e-8)
    frames = [x.shape[-1] // 16 + 1 for x in (padded[0], longer[0])]
    torch.testing.assert_close(one[0], two[0], rtol=1e-10, atol=0)
    torch.testing.assert_close(one[1] * frames[0], two[1] * frames[1], rtol=1e-10, atol=0)


def test_a_shift_by_whole_hops_changes_nothing() -> None:
    pair = _noise(1, 1, 160), _noise(1, 1, 160, seed=1)
    early = [torch.nn.functional.pad(x, (64, 160)) for x in pair]
    late = [torch.nn.functional.pad(x, (64 + 96, 64)) for x in pair]
    for one, two in zip(_distance(*early), _distance(*late), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-10, atol=0)


def test_it_cannot_be_differentiated_twice() -> None:
    estimate = _noise(1, 1, 128).requires_grad_(True)
    value = sum(_distance(estimate, _noise(1, 1, 128, seed=1))).square().sum()
    (slope,) = torch.autograd.grad(value, estimate, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.square().sum().backward()
