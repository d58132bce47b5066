"""The linear layer gives what torch's own gives, forwards and backwards."""

import pytest
import torch
from torch import nn

from timbrel.models.linear import Linear


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(2, 37, 48), (1, 1, 48), (300, 48), (48,), (0, 48)])
@pytest.mark.parametrize("bias", [True, False])
def test_values_and_gradients_are_those_of_torchs_own(shape: tuple[int, ...], bias: bool) -> None:
    torch.manual_seed(0)
    ours = Linear(48, 33, bias=bias)
    theirs = nn.Linear(48, 33, bias=bias)
    theirs.load_state_dict(ours.state_dict())
    results = []
    for layer in (ours, theirs):
        x = random(*shape).requires_grad_()
        y = layer(x)
        (y * random(*y.shape, seed=1)).sum().backward()
        results.append([y, x.grad, *(parameter.grad for parameter in layer.parameters())])
    for found, wanted in zip(*results, strict=True):
        torch.testing.assert_close(found, wanted, atol=2e-5, rtol=1e-5)


def test_strided_rows_are_read_in_order() -> None:
    layer, x = Linear(48, 33), random(2, 48, 37).transpose(1, 2)
    torch.testing.assert_close(layer(x), layer(x.contiguous()))
    torch.testing.assert_close(layer(x), nn.functional.linear(x, layer.weight, layer.bias))


def test_frozen_weights_take_no_gradient_and_pass_it_on() -> None:
    layer, x = Linear(48, 33).requires_grad_(False), random(5, 48).requires_grad_()
    layer(x).sum().backward()
    assert layer.weight.grad is None
    torch.testing.assert_close(x.grad, layer.weight.sum(0).expand(5, -1))


def test_other_precisions_are_torchs_own() -> None:
    layer, x = Linear(48, 33), random(5, 48)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16
    double = layer.double()(x.double())
    assert torch.equal(double, nn.functional.linear(x.double(), layer.weight, layer.bias))
