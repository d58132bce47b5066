"""Left/right to mid/side and back."""

import math

import torch
from torch import Tensor


def mid_side(audio: Tensor) -> Tensor:
    """`(..., channel, time)`: M = (L + R) / sqrt(2), S = (L - R) / sqrt(2); mono passes through.

    Orthonormal, so energy stays, and its own inverse.

    >>> [round(value, 3) for value in mid_side(torch.tensor([[1.0], [1.0]]))[:, 0].tolist()]
    [1.414, 0.0]
    """
    if audio.shape[-2] == 1:
        return audio
    left, right = audio.unbind(-2)
    return torch.stack([left + right, left - right], dim=-2) * math.sqrt(0.5)
