"""A head that reads a smooth spectrum from features."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from timbrel.models.decoders import whisper
from timbrel.models.heard_parts import smoothed

_AVERAGED_BINS = 7


class SmoothEnvelope(nn.Module):
    """Log magnitudes of a smooth spectrum, `(batch, frame, channel * bin)`.

    A value for each bin of the lowest eighth, and as many for all the others, with straight lines
    (of the logarithm) between them: an ear resolves no more there, and it costs a quarter.
    """

    def __init__(self, width: int, channels: int, bins: int) -> None:
        super().__init__()
        self.channels = channels
        self.low, self.high = bins // 8, bins - bins // 8
        self.values = whisper(width, 2 * channels * self.low)

    def forward(
        self, features: Float[Tensor, "batch frame width"]
    ) -> Float[Tensor, "batch frame channel_bin"]:
        values = self.values(features).unflatten(2, (self.channels, -1))
        low, high = values.flatten(0, 1).float().chunk(2, dim=2)
        high = nn.functional.interpolate(high, size=self.high, mode="linear", align_corners=True)
        return torch.cat([low, high], dim=2).unflatten(0, features.shape[:2]).flatten(2)

    def values_for(
        self, log_magnitude: Float[Tensor, "batch frame channel bin"]
    ) -> Float[Tensor, "batch frame value"]:
        """What `values` should say for a spectrum: bins, and above them averages of seven."""
        low, high = log_magnitude.split([self.low, self.high], dim=3)
        places = torch.linspace(0, self.high - 1, self.low, device=high.device).round().long()
        return torch.cat([low, smoothed(high, _AVERAGED_BINS)[..., places]], dim=3).flatten(2)
