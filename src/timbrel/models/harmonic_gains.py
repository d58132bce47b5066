"""Gains of harmonics by their number, whatever the pitch."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from timbrel.dsp.additive import LOWEST_HZ
from timbrel.models.decoders import single
from timbrel.models.linear import Linear

_GAIN = 5.0  # so that they are found in some hundred steps


class HarmonicGains(nn.Module):
    """Log gains of the first `count` harmonics, for the bins in which each of them is heard.

    A clarinet has weak even harmonics and a skin has hardly any but the lowest, at every pitch. An
    envelope by frequency would have to learn that for each f0; these gains multiply it (Fletcher &
    Rossing 1998, "The physics of musical instruments"). Higher harmonics keep their level. All
    gains are 1 while nothing is learned.
    """

    def __init__(self, width: int, *, channels: int, count: int, bins: int, bin_hz: float) -> None:
        super().__init__()
        self.channels = channels
        self.count = count
        self.bins = bins
        self.bin_hz = bin_hz
        self.gain = Linear(width, channels * count)
        nn.init.zeros_(self.gain.weight)
        nn.init.zeros_(self.gain.bias)

    def forward(
        self, features: Float[Tensor, "batch frame width"], f0_hz: Float[Tensor, "batch frame"]
    ) -> Float[Tensor, "batch frame channel_bin"]:
        gains = _GAIN * single(self.gain(features)).unflatten(2, (self.channels, self.count))
        gains = nn.functional.pad(gains, (0, 1))
        hz = torch.arange(self.bins, device=f0_hz.device) * self.bin_hz
        multiple = hz / f0_hz.clamp_min(LOWEST_HZ)[..., None]
        number = multiple.round().clamp(1, self.count + 1).long() - 1
        number = number[:, :, None].expand(-1, -1, self.channels, -1)
        return gains.gather(3, number).flatten(2)
