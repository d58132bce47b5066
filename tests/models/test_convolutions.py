"""Layers over time: aligned, of the reach they state, and blind to the future where they say so."""

from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

from timbrel.models.activations import Activation, Snake
from timbrel.models.convolutions import Convolution, FrameNorm, ResidualStage
from timbrel.models.upsamplers import Upsampler, make_upsampler


def _changed(layer: nn.Module, channels: int, at: int, n: int) -> list[int]:
    """Output frames that differ in any bit when input frame `at` changes."""
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(1, channels, 1, n, generator=rng)
    other = x.clone()
    other[..., at] += torch.randn(channels, 1, generator=rng)
    with torch.no_grad():
        differs = (layer(x) != layer(other)).any(1)[0, 0]
    return differs.nonzero()[:, 0].tolist()


@pytest.mark.parametrize(("kernel", "dilation"), [(3, 1), (3, 9), (7, 1), (1, 1)])
def test_a_convolution_reaches_as_far_as_it_says(kernel: int, dilation: int) -> None:
    layer = Convolution(2, 3, kernel=kernel, dilation=dilation, causal=False)
    changed = _changed(layer, 2, 40, 81)
    assert (min(changed), max(changed)) == (40 - layer.reach, 40 + layer.reach)
    causal = Convolution(2, 3, kernel=kernel, dilation=dilation, causal=True)
    changed = _changed(causal, 2, 40, 81)
    assert (min(changed), max(changed)) == (40, 40 + causal.reach)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("stride", [2, 4, 3])
def test_a_stride_keeps_frames_where_they_are(stride: int, causal: bool) -> None:
    kernel = stride * (2 if stride % 2 == 0 else 3)
    layer = Convolution(1, 1, kernel=kernel, stride=stride, causal=causal)
    assert layer(torch.zeros(1, 1, 1, 12 * stride)).shape == (1, 1, 1, 12)
    for at in (6 * stride, 7 * stride - 1):  # the first and the last frame of hop 6
        changed = _changed(layer, 1, at, 12 * stride)
        assert 6 in changed
        assert min(changed) >= 6 - (0 if causal else -(-layer.reach // stride))
        assert max(changed) <= 6 + -(-layer.reach // stride)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("name", get_args(Upsampler))
@pytest.mark.parametrize("factor", [2, 4])
def test_an_upsampler_keeps_frames_where_they_are(name: Any, factor: int, causal: bool) -> None:
    layer = make_upsampler(name, 2, 3, factor=factor, causal=causal)
    assert layer(torch.zeros(1, 2, 1, 9)).shape == (1, 3, 1, 9 * factor)
    changed = _changed(layer, 2, 4, 9)
    assert set(range(4 * factor, 5 * factor)) <= set(changed)
    assert min(changed) >= (4 - (0 if causal else layer.reach)) * factor
    assert max(changed) < (5 + layer.reach) * factor


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("name", get_args(Activation))
def test_a_stage_reaches_as_far_as_it_says(name: Any, causal: bool) -> None:
    stage = ResidualStage(4, dilations=[1, 3, 9], kernel=3, activation=name, causal=causal)
    assert stage.reach == 13 * (2 if causal else 1)
    changed = _changed(stage, 4, 40, 81)
    assert (min(changed), max(changed)) == (40 if causal else 27, 40 + stage.reach)


def test_what_would_shift_time_is_refused() -> None:
    with pytest.raises(ValueError, match="kernel 4 with stride 1"):
        Convolution(1, 1, kernel=4, causal=False)
    with pytest.raises(ValueError, match="kernel 2 with stride 4"):
        Convolution(1, 1, kernel=2, stride=4, causal=False)


def test_the_norm_levels_every_frame_by_itself() -> None:
    x = torch.randn(2, 8, 1, 5, generator=torch.Generator().manual_seed(0))
    y = FrameNorm(8)(x * torch.tensor([1.0, 10.0, 0.1, 1.0, 1.0]))
    assert torch.allclose(y.square().mean(1), torch.ones(2, 1, 5), atol=1e-2)
    assert torch.allclose(y, FrameNorm(8)(x), atol=1e-2)
    assert torch.isfinite(FrameNorm(8)(torch.zeros(1, 8, 1, 1))).all()


def test_snake_is_the_papers() -> None:
    snake = Snake(1)
    x = torch.linspace(-4, 4, 9)[None, None, None]
    assert torch.allclose(snake(x), x + torch.sin(x) ** 2)
    with torch.no_grad():
        snake.log_frequency.fill_(float(torch.log(torch.tensor(5.0))))
    assert torch.allclose(snake(x), x + torch.sin(5 * x) ** 2 / 5, atol=1e-6)


def test_repeat_without_smoothing_is_a_hold() -> None:
    # A hold weakens the image of a low tone; bare zero-stuffing would leave both alike.
    factor, n = 4, 256
    tone = torch.sin(2 * torch.pi * 16 * torch.arange(n) / n)[None, None, None]
    layer = make_upsampler("repeat", 1, 1, factor=factor, causal=False)
    with torch.no_grad():
        layer.convolution.convolution.weight.zero_()
        layer.convolution.convolution.weight[..., 2] = 1.0
        layer.convolution.convolution.bias.zero_()
        spectrum = _levels(layer(tone))
    assert spectrum[16] / spectrum[n - 16] > 10.0


def _levels(x: Tensor) -> Tensor:
    return torch.fft.rfft(x[0, 0, 0]).abs()
