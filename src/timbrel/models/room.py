"""A room that is learned with the instrument: an impulse response that decays."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

_START = 1e-4
_DECAY_NEPERS = math.log(1e3)  # 60 dB over the length, while nothing is learned


class Room(nn.Module):
    """The sound itself, and after it a learned response of `length_samples` (Engel et al. 2020).

    Causal: each channel is convolved with taps times an exponential decay, whose rate is learned
    too. A response longer than the recordings' own would smear every stroke, so `tail` is to be
    kept small by a loss.
    """

    def __init__(self, *, channels: int, length_samples: int) -> None:
        super().__init__()
        self.taps = nn.Parameter(_START * torch.randn(channels, length_samples))
        self.log_decay = nn.Parameter(torch.zeros(channels, 1))

    @property
    def response(self) -> Float[Tensor, "channel tap"]:
        """What follows the sound itself, from one sample later on."""
        return self.taps * torch.exp(-_DECAY_NEPERS * self.log_decay.exp() * self._late)

    @property
    def tail(self) -> Float[Tensor, ""]:
        """Energy of the response beside that of the sound, weighed by how late it comes (0 to 1).

        The sum of h^2(t) * t / length, a mean over channels.
        """
        return (self.response.square() * self._late).sum(1).mean()

    @property
    def _late(self) -> Float[Tensor, " tap"]:
        length = self.taps.shape[1]
        return torch.arange(1, length + 1, device=self.taps.device) / length

    def forward(
        self, audio: Float[Tensor, "batch channel time"]
    ) -> Float[Tensor, "batch channel time"]:
        n_time, n_fft = audio.shape[2], audio.shape[2] + self.taps.shape[1]
        response = nn.functional.pad(self.response, (1, 0))
        spectrum = torch.fft.rfft(audio, n=n_fft) * torch.fft.rfft(response, n=n_fft)
        return audio + torch.fft.irfft(spectrum, n=n_fft)[..., :n_time]
