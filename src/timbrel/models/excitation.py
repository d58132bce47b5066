"""A harmonic tone with a flat spectrum at a given fundamental, for a decoder to shape."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from timbrel.dsp.additive import BAND, LOWEST_HZ, dispersed
from timbrel.dsp.phase import elapsed_periods

_TABLES_PER_OCTAVE, _OCTAVES = 6, 8
_TABLE_SAMPLES = 16_384
_MOST_HARMONICS = 600


class Excitation(nn.Module):
    """All harmonics of a moving fundamental below 0.45 of the rate, each of amplitude 1.

    The phase of harmonic n is pi n^2 / 64 beside that of the fundamental (Schroeder 1970): with
    equal phases the pulses would peak far above the sound that they make. It is read from one
    band-limited wavetable per sixth of an octave. Differs: the dispersion does not depend on how
    many harmonics there are, so that a tone may glide from table to table.

    `(f0_hz, first_cycle) -> (batch, frame * hop)`: `first_cycle` is the phase of the fundamental
    at the middle of the first frame, in periods (0 if None). No gradient passes.
    """

    tables: Float[Tensor, "table sample"]

    def __init__(self, *, sample_rate_hz: int, hop_samples: int) -> None:
        super().__init__()
        self.sample_rate_hz = sample_rate_hz
        self.hop_samples = hop_samples
        self.register_buffer("tables", _wavetables(sample_rate_hz), persistent=False)

    @torch.no_grad()
    def forward(
        self,
        f0_hz: Float[Tensor, "batch frame"],
        first_cycle: Float[Tensor, " batch"] | None = None,
    ) -> Float[Tensor, "batch time"]:
        hop, rate_hz = self.hop_samples, self.sample_rate_hz
        f0 = f0_hz.float().clamp(LOWEST_HZ, LOWEST_HZ * 2**_OCTAVES)
        middles = elapsed_periods(f0, hop / rate_hz)
        if first_cycle is not None:
            middles = middles + first_cycle.cpu()[:, None]
        middles = (middles - middles.floor()).float().to(f0.device)
        # From the middle of each frame to that of the next; before the first and after the last
        # the frequency stays.
        f0 = nn.functional.pad(f0, (1, 1), mode="replicate")
        start = (middles[:, :1] - hop * f0[:, :1] / rate_hz) % 1.0
        begin = torch.cat([start, middles], dim=1)
        step = torch.arange(hop, device=f0.device) + 0.5 - (hop % 2) / 2
        bend = (f0[:, 1:] - f0[:, :-1]) / (2 * hop)
        phase = begin[..., None] + (f0[:, :-1, None] + bend[..., None] * step) * step / rate_hz
        octave = (f0[:, :-1, None] + 2 * bend[..., None] * step).div(LOWEST_HZ).log2()
        first = hop // 2
        phase, octave = (
            x.flatten(1)[:, first : first + f0_hz.shape[1] * hop] for x in (phase, octave)
        )
        table = (octave * _TABLES_PER_OCTAVE).long().clamp(0, len(self.tables) - 1)
        place = (phase % 1.0) * _TABLE_SAMPLES
        left = place.long().clamp_max(_TABLE_SAMPLES - 1)
        share = place - left
        left = left + table * self.tables.shape[1]
        values = self.tables.flatten()
        return torch.lerp(values.take(left), values.take(left + 1), share)


def _wavetables(sample_rate_hz: int) -> Float[Tensor, "table sample"]:
    """One period each, and the first sample again; table i holds up to the (i+1)-th sixth."""
    tables = []
    for index in range(_TABLES_PER_OCTAVE * _OCTAVES):
        highest_hz = LOWEST_HZ * 2 ** ((index + 1) / _TABLES_PER_OCTAVE)
        count = max(1, min(_MOST_HARMONICS, math.floor(BAND * sample_rate_hz / highest_hz)))
        spectrum = torch.zeros(_TABLE_SAMPLES // 2 + 1, dtype=torch.complex128)
        phase = 2 * math.pi * dispersed(count)
        spectrum[1 : count + 1] = torch.polar(torch.full_like(phase, _TABLE_SAMPLES / 2), phase)
        tables.append(torch.fft.irfft(spectrum, n=_TABLE_SAMPLES))
    table = torch.stack(tables).float()
    return torch.cat([table, table[:, :1]], dim=1)
