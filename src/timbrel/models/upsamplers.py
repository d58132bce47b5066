"""Up-samplers that a config names: `frame` to `frame * factor` frames."""

from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from timbrel.models.convolutions import Convolution

Upsampler = Literal["transposed", "repeat"]


class Transposed(nn.Module):
    """A transposed convolution of three frames' length, as one dense convolution at the low rate.

    Every input frame gives `factor` output frames from itself and its neighbours (Shi et al. 2016,
    "sub-pixel convolution"). Learned interpolation: images above the old band edge are possible.
    """

    def __init__(self, in_channels: int, out_channels: int, *, factor: int, causal: bool) -> None:
        super().__init__()
        self.factor = factor
        self.convolution = Convolution(in_channels, out_channels * factor, kernel=3, causal=causal)
        self.reach = self.convolution.reach

    def forward(self, x: Float[Tensor, "batch in 1 frame"]) -> Float[Tensor, "batch out 1 frame2"]:
        # Channels lie last in memory, phase by phase: the frames are there, only to be renamed.
        phases = self.convolution(x).permute(0, 2, 3, 1)  # batch 1 frame (factor out)
        return phases.unflatten(3, (self.factor, -1)).flatten(2, 3).permute(0, 3, 1, 2)


class Repeat(nn.Module):
    """Every frame `factor` times, then a convolution that smooths (Odena et al. 2016).

    No phase of the output is privileged, so no checkerboard; slower than `Transposed`.
    """

    def __init__(self, in_channels: int, out_channels: int, *, factor: int, causal: bool) -> None:
        super().__init__()
        self.factor = factor
        kernel = 2 * (factor // 2) + 1 if factor > 1 else 3
        self.convolution = Convolution(in_channels, out_channels, kernel=kernel, causal=causal)
        self.reach = -(-self.convolution.reach // factor)

    def forward(self, x: Float[Tensor, "batch in 1 frame"]) -> Float[Tensor, "batch out 1 frame2"]:
        return self.convolution(x.repeat_interleave(self.factor, dim=3))


def make_upsampler(
    name: Upsampler, in_channels: int, out_channels: int, *, factor: int, causal: bool
) -> Transposed | Repeat:
    """The up-sampler called `name`."""
    kind = Repeat if name == "repeat" else Transposed
    return kind(in_channels, out_channels, factor=factor, causal=causal)
