"""The phase of a tone with a frequency per frame."""

import torch
from jaxtyping import Float
from torch import Tensor


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
