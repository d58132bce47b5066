"""A linear layer that uses the whole vector unit of a processor."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class Linear(nn.Linear):
    """`nn.Linear`, computed by `linear`."""

    def forward(self, input: Float[Tensor, "*batch in"]) -> Float[Tensor, "*batch out"]:
        return linear(input, self.weight, self.bias)


def linear(
    x: Float[Tensor, "*batch in"],
    weight: Float[Tensor, "out in"],
    bias: Float[Tensor, " out"] | None = None,
) -> Float[Tensor, "*batch out"]:
    """`x @ weight.T + bias`; in float32 on a CPU by oneDNN, as a convolution of one tap.

    torch hands such products to MKL, which does not use AVX-512 on processors of AMD: it takes up
    to twice the time there. The values differ by rounding. Elsewhere, and under autocast, it is
    torch's own. Once differentiable.
    """
    plain = x.is_cpu and x.dtype == weight.dtype == torch.float32 and x.numel() > 0
    if not plain or torch.is_autocast_enabled("cpu") or not torch.backends.mkldnn.is_available():
        return nn.functional.linear(x, weight, bias)
    product: Tensor = _Product.apply(x, weight, bias)
    return product


class _Product(torch.autograd.Function):
    """With the gradient of `torch.mkldnn_convolution` it would take half as long again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        rows = _rows_times(x.reshape(-1, x.shape[-1]), weight, bias)
        return rows.view(*x.shape[:-1], len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        by_x, by_weight, by_bias = None, None, None
        rows = gradients[0].reshape(-1, len(weight))
        if ctx.needs_input_grad[0]:
            by_x = _rows_times(rows, weight.T).view(x.shape)
        if ctx.needs_input_grad[1]:
            by_weight = _rows_times(rows.T, x.reshape(-1, x.shape[-1]).T)
        if ctx.needs_input_grad[2]:
            by_bias = rows.sum(0)
        return by_x, by_weight, by_bias


def _rows_times(
    rows: Float[Tensor, "row in"],
    weight: Float[Tensor, "out in"],
    bias: Float[Tensor, " out"] | None = None,
) -> Float[Tensor, "row out"]:
    """`rows @ weight.T + bias`: the rows are the pixels of an image whose last axis is channels."""
    image = rows.reshape(1, len(rows), 1, -1).permute(0, 3, 1, 2)
    product = torch.mkldnn_convolution(
        image, weight[:, :, None, None], bias, padding=[0, 0], stride=[1, 1], dilation=[1, 1],
        groups=1,
    )  # fmt: skip
    return product.permute(0, 2, 3, 1).reshape(len(rows), len(weight))
