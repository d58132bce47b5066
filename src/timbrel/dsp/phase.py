"""The phase of what has a frequency per frame: of one tone, and of every bin of a spectrum."""

import math
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

TUNED_HZ = 6000.0
"""Up to here frequencies of bins are tuned; above, half a bin of 2,048 is less than 4 cents."""


def elapsed_periods(
    f0_hz: Float[Tensor, "batch frame"], frame_s: float
) -> Float[Tensor, "batch frame"]:
    """Periods between the middle of the first frame and that of each frame, in float64.

    Between two middles the frequency moves in a straight line. Summed on the CPU: not every device
    has float64.

    >>> elapsed_periods(torch.tensor([[100.0, 100.0, 300.0]]), 0.01)
    tensor([[0., 1., 3.]], dtype=torch.float64)
    """
    f0 = f0_hz.cpu().double()
    steps = 0.5 * frame_s * (f0[:, 1:] + f0[:, :-1])
    return torch.nn.functional.pad(steps.cumsum(1), (1, 0))


def advanced_phases(
    start: Float[Tensor, "batch frame bin"],
    advance: Float[Tensor, "batch frame bin"],
    begins: Bool[Tensor, "batch frame bin"],
    known: Float[Tensor, "batch known bin"] | None = None,
) -> Float[Tensor, "batch frame bin"]:
    """Phases in radians: `start` where a bin begins, elsewhere the last frame's and its `advance`.

    `known` are the phases of the first frames, where they have been decoded before; without them
    every bin begins in the first frame. A sound that is decoded in blocks has the very phases of
    the whole.
    """
    n_known = 1 if known is None else known.shape[1]
    if known is not None:
        start = torch.cat([known.to(start.dtype), start[:, n_known:]], dim=1)
    given = torch.arange(start.shape[1], device=start.device)[:, None] < n_known
    phases: Tensor = _Advanced.apply(start, advance, begins | given)
    return phases


class _Advanced(torch.autograd.Function):
    """The recursion over frames. As operations of its own, autograd would keep every step."""

    @staticmethod
    def forward(
        ctx: Any,
        start: Float[Tensor, "batch frame bin"],
        advance: Float[Tensor, "batch frame bin"],
        begins: Bool[Tensor, "batch frame bin"],
    ) -> Float[Tensor, "batch frame bin"]:
        ctx.save_for_backward(begins)
        advance = advance.remainder(2 * math.pi)  # a sum with whole turns loses digits
        phases = torch.where(begins, start, advance)
        goes_on = (~begins).to(start.dtype).unbind(1)
        rows = phases.unbind(1)
        for frame in range(1, len(rows)):
            rows[frame].addcmul_(rows[frame - 1], goes_on[frame]).remainder_(2 * math.pi)
        return phases

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        (begins,) = ctx.saved_tensors
        total = gradients[0].clone()
        for frame in range(total.shape[1] - 1, 0, -1):
            total[:, frame - 1] += total[:, frame].masked_fill(begins[:, frame], 0.0)
        return total.masked_fill(~begins, 0.0), total.masked_fill(begins, 0.0), None
