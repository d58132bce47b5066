"""Activations that a config names; each is built for its number of channels."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

Activation = Literal["leaky_relu", "snake"]


class Snake(nn.Module):
    """x + sin²(a x) / a with one learned frequency per channel (Ziyin et al. 2020, eq. 3).

    Periodic, so it extrapolates tones. Differs: a is kept positive as an exponential.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.log_frequency = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(
        self, x: Float[Tensor, "batch width 1 frame"]
    ) -> Float[Tensor, "batch width 1 frame"]:
        frequency = self.log_frequency.exp()
        return x + torch.sin(frequency * x).square() / frequency


def make_activation(name: Activation, channels: int) -> nn.Module:
    """The activation called `name`, for `channels` channels."""
    return Snake(channels) if name == "snake" else nn.LeakyReLU(0.2)
