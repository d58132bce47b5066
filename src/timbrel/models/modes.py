"""Partials at other than whole multiples of f0: what bars, skins and bells have."""

import math

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn

from timbrel.contracts import Conditions
from timbrel.dsp.additive import BAND
from timbrel.dsp.oscillators import carried_on, lobes
from timbrel.models.decoders import level, single
from timbrel.models.heard_parts import STANDS_OUT
from timbrel.models.linear import Linear

_HIGHEST = 8  # times f0: above, modes lie so close that a spectrum at fixed bins plays them
_START = 0.05  # of what they may have: above what else lies there, or that would learn instead
_LEAST = 0.005  # of them, where nothing is heard
_OF_A_HARMONIC = 1.5  # bins
_TINY = 1e-9
_MOVE_GAIN = 20.0  # so that a ratio is found in some hundred steps


class Modes(nn.Module):
    """Spectra of sinusoids at learned ratios of f0, and their phases.

    The modes of a struck body lie at ratios to its lowest that its shape decides, whatever its
    size (Fletcher & Rossing 1998, "The physics of musical instruments"; a skin's at 1.59, 2.14,
    2.30, a free bar's at 2.76, 5.40). So a ratio that is learned of one note holds for all, where
    a spectrum at fixed bins has to learn every pitch. `between` of them lie between one harmonic
    and the next up to 8 f0, evenly, and each learns to move up to half way to its neighbours.

    Such partials do not repeat with f0: beside the harmonic part all of them together have at most
    the power that the track `hnr_db` leaves to what does not, times the confidence in f0. So a
    string has none from the start, and they cannot play the fundamental itself, which a mode close
    to it might. Between frames phases go on with f0.
    """

    ratios: Float[Tensor, " mode"]

    def __init__(
        self,
        width: int,
        *,
        between: int,
        channels: int,
        sample_rate_hz: int,
        window_samples: int,
        hop_samples: int,
    ) -> None:
        super().__init__()
        self.channels = channels
        self.bins = window_samples // 2 + 1
        self.bin_hz = sample_rate_hz / window_samples
        self.highest_hz = BAND * sample_rate_hz
        self.hop_s = hop_samples / sample_rate_hz
        self.steps = between + 1  # from one harmonic to the next
        self.most_move = 0.5 / self.steps
        steps = torch.arange(self.steps, _HIGHEST * self.steps)
        ratios = steps[steps % self.steps > 0] / self.steps
        self.register_buffer("ratios", ratios, persistent=False)
        self.count = len(ratios)
        self.move = nn.Parameter(torch.zeros(self.count))
        self.magnitude = Linear(width, channels * self.count)
        nn.init.constant_(self.magnitude.bias, math.log(_START))

    def forward(
        self,
        features: Float[Tensor, "batch frame width"],
        tonal: Float[Tensor, "batch frame channel"],
        given: Conditions,
        known: Complex[Tensor, "batch known mode"] | None,
    ) -> tuple[Complex[Tensor, "batch frame channel_bin"], Complex[Tensor, "batch frame mode"]]:
        """Their spectrum, of amplitude 1 for a full-scale sine, and the phases as they go on.

        `tonal` is the amplitude of a sine with the power of the harmonic part. `known` has the
        phases of the first frames, if any. Of `hnr_db` a balance that is asked for is taken off:
        what makes a string breathy gives it no modes.
        """
        assert given.f0_hz is not None
        assert given.confidence is not None
        assert given.hnr_db is not None
        hz = single(given.f0_hz)[..., None] * self.learned_ratios()
        cycles = self.hop_s * 0.5 * (hz + hz.roll(1, dims=1))  # since the frame before
        turn = torch.polar(
            torch.ones_like(cycles), 2 * math.pi * (cycles - cycles.detach().round())
        )
        begin = torch.zeros_like(turn)
        begin[:, 0] = 1.0
        phases = carried_on(turn, begin, known)
        magnitude = level(self.magnitude(features)).unflatten(2, (self.channels, self.count))
        magnitude = magnitude / magnitude.norm(dim=3, keepdim=True).clamp_min(1.0)
        hnr_db = given.hnr_db - (0.0 if given.balance_db is None else given.balance_db)
        most = given.confidence * 10 ** (-hnr_db.clamp_min(0.0) / 20)
        heard = most[..., None] * (hz < self.highest_hz)
        amplitude = phases[:, :, None] * (magnitude * heard[:, :, None] * tonal[..., None])
        # What is above the band is silent; far from every bin a lobe's gradient may be infinite.
        place = (hz / self.bin_hz).clamp_max(self.bins - 1)
        return lobes(amplitude, place[:, :, None], self.bins).flatten(2), phases

    def values_for(
        self,
        spectrum: Float[Tensor, "batch frame channel bin"],
        smooth: Float[Tensor, "batch frame channel bin"],
        given: Conditions,
    ) -> Float[Tensor, "batch frame channel_mode"]:
        """What `magnitude` should say for log magnitudes, 0 for a full-scale sine.

        A peak of `spectrum` that stands out from its `smooth` course is a harmonic within 1.5 bins
        of one, and else the mode whose ratio is nearest.
        """
        assert given.f0_hz is not None
        assert given.hnr_db is not None
        left, here, right = spectrum[..., :-2], spectrum[..., 1:-1], spectrum[..., 2:]
        peak = (here > left) & (here >= right) & (here > smooth[..., 1:-1] + STANDS_OUT)
        offset = 0.5 * (left - right) / (left - 2 * here + right).clamp_max(-_TINY)
        f0_bins = given.f0_hz[..., None, None] / self.bin_hz
        ratio = (torch.arange(1, self.bins - 1, device=here.device) + offset) / f0_bins
        harmonic = (ratio - ratio.round().clamp_min(1)).abs() * f0_bins < _OF_A_HARMONIC
        step = (ratio * self.steps).round().long()
        number = step - step // self.steps - self.steps  # the harmonics are no modes
        own = peak & ~harmonic & (step % self.steps > 0) & (number >= 0) & (number < self.count)
        amplitude = torch.where(own, here.exp(), 0.0)
        found = amplitude.new_zeros(*here.shape[:3], self.count)
        found = found.scatter_reduce(3, number.clamp(0, self.count - 1), amplitude, "amax")
        tonal = torch.where(peak & harmonic, here.exp(), 0.0).square().sum(3, keepdim=True).sqrt()
        most = 10 ** (-given.hnr_db.clamp_min(0.0) / 20)
        share = found / (most[..., None, None] * tonal).clamp_min(_TINY)
        return share.clamp(_LEAST, 1.0).log().flatten(2)

    def learned_ratios(self) -> Float[Tensor, " mode"]:
        """Where the modes lie, in multiples of f0."""
        # The gain is not the gradient's, which would outweigh that of all other weights.
        move = self.move + (_MOVE_GAIN - 1) * self.move.detach()
        return self.ratios + self.most_move * torch.tanh(move)
