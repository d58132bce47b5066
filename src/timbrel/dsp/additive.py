"""A bank of oscillators: partials whose frequencies and amplitudes move from frame to frame.

Additive synthesis (McAulay & Quatieri 1986); as a differentiable layer: Engel et al. 2020, "DDSP".
Differs: frequencies and amplitudes move in straight lines between the middles of frames, and phases
are summed once per frame, in float64 periods. A sample's phase is counted from the last middle, so
nothing drifts, however long the sound.
"""

import math
from types import EllipsisType
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from timbrel.dsp.phase import elapsed_periods

BAND = 0.45  # of the sample rate: no partial sounds at or above it
LOWEST_HZ = 20.0  # a fundamental below it is played there
_FADE = 0.40  # of the sample rate: from here on partials fade
_DISPERSION = 128
_CPU_BLOCK_VALUES = 1 << 18  # what a processor's cache holds
_BLOCK_VALUES = 1 << 25

_Block = tuple[slice, EllipsisType, slice]


def dispersed(partials: int) -> Float[Tensor, " partial"]:
    """Phases of a tone's partials in periods, n^2 / 128 of partial n, in float64.

    As Schroeder 1970: with equal phases the pulses of a tone would peak far above it.
    """
    return torch.arange(1, partials + 1, dtype=torch.float64).square() / _DISPERSION


def stretched(
    f0_hz: Float[Tensor, "batch frame"],
    partials: int,
    inharmonicity: Float[Tensor, "batch frame"] | None = None,
) -> Float[Tensor, "batch frame partial"]:
    """Frequencies of the partials, n f0 sqrt(1 + B n^2): those of a stiff string (Fletcher 1964).

    >>> stretched(torch.tensor([[100.0]]), 3, torch.tensor([[0.01]])).tolist()
    [[[100.49..., 203.96..., 313.20...]]]
    """
    n = torch.arange(1, partials + 1, device=f0_hz.device, dtype=f0_hz.dtype)
    harmonic = f0_hz[..., None] * n
    if inharmonicity is None:
        return harmonic
    return harmonic * (1 + inharmonicity[..., None] * n.square()).sqrt()


def audible(
    frequency_hz: Float[Tensor, "batch frame partial"], sample_rate_hz: float
) -> Float[Tensor, "batch frame partial"]:
    """Gains that keep partials below 0.45 of the rate: 1 up to 0.40, then a raised cosine to 0.

    A frame has the gain of the highest frequency in it and its neighbours, so that a partial that
    glides across is silent wherever it is above.
    """
    near = functional.pad(frequency_hz.transpose(1, 2), (1, 1), mode="replicate")
    highest = functional.max_pool1d(near, 3, stride=1).transpose(1, 2)
    share = ((highest / sample_rate_hz - _FADE) / (BAND - _FADE)).clamp(0.0, 1.0)
    gain = 0.5 + 0.5 * torch.cos(math.pi * share)
    return torch.where(share < 1, gain, torch.zeros_like(gain))


def cycles_at_middles(
    frequency_hz: Float[Tensor, "batch frame partial"],
    first_cycles: Float[Tensor, "batch partial"],
    *,
    frame_s: float,
) -> Float[Tensor, "batch frame partial"]:
    """Phases of the partials in the middle of every frame, in periods from 0 to 1.

    `first_cycles` are those of the first frame.
    """
    n_batch = len(frequency_hz)
    elapsed = elapsed_periods(frequency_hz.transpose(1, 2).flatten(0, 1), frame_s)
    elapsed = elapsed.unflatten(0, (n_batch, -1)).transpose(1, 2)
    cycles = elapsed + first_cycles.to(elapsed)[:, None]
    return (cycles - cycles.detach().floor()).to(frequency_hz)


def oscillators(
    frequency_hz: Float[Tensor, "batch frame partial"],
    amplitude: Float[Tensor, "batch channel frame partial"],
    cycles: Float[Tensor, "batch frame partial"],
    *,
    sample_rate_hz: float,
    hop_samples: int,
) -> Float[Tensor, "batch channel time"]:
    """The sum of all partials, `frame * hop_samples` samples; `cycles` as of `cycles_at_middles`.

    Before the first middle and after the last, frequencies and amplitudes stay. What is above 0.45
    of the rate from one middle to the next is left out; `audible` gives the gains that fade it
    before. Frames are computed a few at a time, so that memory does not grow with partials times
    samples.
    """
    n_batch, _, n_frames, _ = amplitude.shape
    # One row per stretch from middle to middle; the outer ones reach beyond the first and last.
    before = cycles[:, :1] - hop_samples / sample_rate_hz * frequency_hz[:, :1]
    start = torch.cat([before, cycles], dim=1).flatten(0, 1)
    hz = _with_ends(frequency_hz)
    low_hz, rise_hz = hz[:, :-1].flatten(0, 1), (hz[:, 1:] - hz[:, :-1]).flatten(0, 1)
    levels = _with_ends(amplitude.transpose(1, 2))  # batch frame channel partial
    ends = torch.cat([levels[:, :-1], levels[:, 1:]], dim=2).flatten(0, 1)
    step = torch.arange(hop_samples, device=hz.device, dtype=hz.dtype)
    share = (step + 0.5 - (hop_samples % 2) / 2) / hop_samples
    seconds = share * (hop_samples / sample_rate_hz)
    heard = torch.minimum(low_hz, low_hz + rise_hz) < BAND * sample_rate_hz
    number = torch.arange(1, heard.shape[1] + 1, device=heard.device)
    values = _CPU_BLOCK_VALUES if hz.is_cpu else _BLOCK_VALUES
    rows_at_once = max(1, values // (hop_samples * heard.shape[1]))
    blocks = _blocks((heard * number).amax(1).tolist(), rows_at_once)
    rows: Tensor = _Stretches.apply(start, low_hz, rise_hz, ends, share, seconds, blocks)
    whole = rows.unflatten(0, (n_batch, n_frames + 1)).transpose(1, 2).flatten(2)
    first = (hop_samples + 1) // 2
    return whole[..., first : first + n_frames * hop_samples]


def _with_ends(x: Float[Tensor, "batch frame *rest"]) -> Float[Tensor, "batch more *rest"]:
    """The frames, with the first and the last once more."""
    return torch.cat([x[:, :1], x, x[:, -1:]], dim=1)


class _Stretches(torch.autograd.Function):
    """`_stretches` of a block at a time; for a gradient they are computed once more."""

    @staticmethod
    def forward(
        ctx: Any,
        start: Tensor,
        low_hz: Tensor,
        rise_hz: Tensor,
        ends: Tensor,
        share: Tensor,
        seconds: Tensor,
        blocks: list[_Block],
    ) -> Tensor:
        moving = (start, low_hz, rise_hz, ends)
        ctx.save_for_backward(*moving, share, seconds)
        ctx.blocks = blocks
        sound = ends.new_empty(len(ends), ends.shape[1] // 2, len(share))
        for block in blocks:
            sound[block[0]] = _stretches(share, seconds, *(x[block] for x in moving))
        return sound

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        *moving, share, seconds = ctx.saved_tensors
        asked = ctx.needs_input_grad[:4]
        found = [
            torch.zeros_like(x) if needed else None for x, needed in zip(moving, asked, strict=True)
        ]
        for block in ctx.blocks:
            with torch.enable_grad():
                given = [
                    x[block].detach().requires_grad_(needed)
                    for x, needed in zip(moving, asked, strict=True)
                ]
                sound = _stretches(share, seconds, *given)
            wanted = [x for x, needed in zip(given, asked, strict=True) if needed]
            by_wanted = iter(torch.autograd.grad(sound, wanted, gradients[0][block[0]]))
            for whole in found:
                if whole is not None:
                    whole[block] = next(by_wanted)
        return (*found, None, None, None)


def _blocks(partials: list[int], rows: int) -> list[_Block]:
    """So many rows at a time, and as many partials as one of them needs at most."""
    return [
        (slice(first, first + rows), ..., slice(0, max(partials[first : first + rows])))
        for first in range(0, len(partials), rows)
    ]


def _stretches(
    share: Float[Tensor, " hop"],
    seconds: Float[Tensor, " hop"],
    start: Float[Tensor, "row partial"],
    low_hz: Float[Tensor, "row partial"],
    rise_hz: Float[Tensor, "row partial"],
    ends: Float[Tensor, "row end_channel partial"],
) -> Float[Tensor, "row channel hop"]:
    """Samples between two middles: `share` is the part of the way, `seconds` the time since."""
    start, low_hz, rise_hz = (2 * math.pi * x[..., None] for x in (start, low_hz, rise_hz))
    phase = torch.addcmul(start, low_hz, seconds)
    phase = torch.addcmul(phase, rise_hz, share * seconds / 2)
    waves = torch.sin(phase)  # row partial hop: products along the hop are the fast ones
    from_low, from_high = (ends @ waves).chunk(2, dim=1)
    return torch.lerp(from_low, from_high, share)
