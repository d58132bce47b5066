"""The phase of what has a frequency per frame: of one tone, and of every bin of a spectrum."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def elapsed_periods(
    f0_hz: Float[Tensor, "batch frame"], frame_s: float
) -> Float[Tensor, "batch frame"]:
    """Periods between the middle of the first frame and that of each frame, in float64.

    Between two middles the frequency moves in a straight line.

    >>> elapsed_periods(torch.tensor([[100.0, 100.0, 300.0]]), 0.01)
    tensor([[0., 1., 3.]], dtype=torch.float64)
    """
    f0 = f0_hz.double()
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
    every bin begins in the first frame. Summed in float64, so that a stream does not drift.
    """
    n_known = 0 if known is None else known.shape[1]
    frame = torch.arange(start.shape[1], device=start.device)[None, :, None]
    if known is not None:
        start = torch.cat([known.to(start.dtype), start[:, n_known:]], dim=1)
    begins = (begins & (frame >= n_known)) | (frame == max(0, n_known - 1)) | (frame < n_known)
    last = torch.where(begins, frame, 0).cummax(1).values
    total = torch.remainder(advance, 2 * math.pi).double().cumsum(1)
    since = (total - total.gather(1, last)).remainder(2 * math.pi)
    return start.gather(1, last) + since.to(start.dtype)
