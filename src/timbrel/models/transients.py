"""Bursts of noise that are shorter than a frame."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from timbrel.models.decoders import NOISE_PERIOD_FRAMES, level, single, whisper
from timbrel.models.linear import Linear
from timbrel.models.moving import moving
from timbrel.models.noise import BandNoise

REACH_FRAMES = 2
"""So far from a frame the level may move for its bursts to sound."""

_BANDS = 16
_FOLLOWED = 0.5


@dataclass(frozen=True)
class Bursts:
    """What sounds when: log levels of bins, white at 0, and gains of the steps of every frame."""

    colour: Float[Tensor, "batch channel frame bin"]
    gains: Float[Tensor, "batch channel frame step"]

    def power(self) -> Float[Tensor, "batch frame bin"]:
        """The sum of all channels; 1 in all bins is a mean square of 1."""
        return ((2 * self.colour).exp() * self.gains.square().mean(3, keepdim=True)).sum(1)

    def times(self, factor: Float[Tensor, "batch frame bin"]) -> "Bursts":
        """Bins times a factor."""
        return Bursts(self.colour + factor[:, None].log(), self.gains)


class Transients(nn.Module):
    """Noise with a colour per frame, and with `steps` gains within the frame.

    Between the middles of two steps the gain moves in a straight line. It follows the level track
    by a learned share, which begins at one half, and is 0 where that hardly moves (`moving`): what
    every frame did alike would be heard at the frame rate.

    A time envelope in place of the sinusoids of Verma & Meng 2000 ("Extending spectral modeling
    synthesis with transient modeling synthesis"): magnitudes of spectra can teach when a burst
    sounds, and not its waveform.
    """

    def __init__(
        self,
        width: int,
        *,
        channels: int,
        steps: int,
        sample_rate_hz: int,
        hop_samples: int,
    ) -> None:
        super().__init__()
        self.channels = channels
        self.hop_samples = hop_samples
        self.steps = whisper(width, channels * steps)
        self.followed = nn.Parameter(torch.full((channels * steps,), _FOLLOWED))
        self.colour = Linear(width, channels * _BANDS)
        nn.init.zeros_(self.colour.bias)
        self.white = BandNoise(
            channels=channels,
            bands=_BANDS,
            sample_rate_hz=sample_rate_hz,
            hop_samples=hop_samples,
            period_frames=NOISE_PERIOD_FRAMES,
        )

    def bursts(
        self,
        features: Float[Tensor, "batch frame width"],
        nepers: Float[Tensor, "batch frame 1"],
        more_nepers: Float[Tensor, "batch frame 1"],
        loudness_db: Float[Tensor, "batch frame"],
    ) -> Bursts:
        """`nepers` is the level to follow; gains are `more_nepers` above what is learned."""
        steps = level(single(self.steps(features)) + self.followed * nepers + more_nepers)
        steps = steps * moving(loudness_db)[..., None]
        colour, gains = (
            x.unflatten(2, (self.channels, -1)).transpose(1, 2)
            for x in (single(self.colour(features)), steps)
        )
        return Bursts(self.white.bins(colour), gains)

    def forward(
        self, bursts: Bursts, first_frame: Int[Tensor, " batch"] | None
    ) -> Float[Tensor, "batch channel time"]:
        # Half a period of the noise away from the part that sounds all the time.
        elsewhere = torch.full((1,), NOISE_PERIOD_FRAMES // 2, device=bursts.gains.device)
        first = elsewhere if first_frame is None else first_frame + elsewhere
        n_samples = bursts.gains.shape[2] * self.hop_samples
        gain = nn.functional.interpolate(bursts.gains.flatten(2), size=n_samples, mode="linear")
        return self.white(bursts.colour, first) * gain
