"""A head that reads a smooth spectrum from features."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from timbrel.models.decoders import whisper


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
