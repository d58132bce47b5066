"""A sinusoid per bin of a spectrum: how its phase goes on, and what it writes into the bins."""

from typing import Any

import torch
from jaxtyping import Complex, Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

TUNED_HZ = 6000.0
"""Up to here frequencies of bins are tuned; above, half a bin of 2,048 is less than 4 cents."""

REACH_BINS = 2  # a Hann window's main lobe


def carried_on(
    kept: Complex[Tensor, "batch frame bin"],
    added: Complex[Tensor, "batch frame bin"],
    known: Complex[Tensor, "batch known bin"] | None = None,
) -> Complex[Tensor, "batch frame bin"]:
    """`state = kept * last state + added`, frame after frame; the first frame's is `added`.

    `known` are the states of the first frames, where they have been decoded before: a sound that is
    decoded in blocks has the very states of the whole.
    """
    n_known = 1 if known is None else known.shape[1]
    if known is not None:
        added = torch.cat([known.to(added.dtype), added[:, n_known:]], dim=1)
    states: Tensor = _CarriedOn.apply(kept, added, n_known)
    return states


class _CarriedOn(torch.autograd.Function):
    """The recursion over frames. As operations of its own, autograd would keep every step."""

    @staticmethod
    def forward(
        ctx: Any,
        kept: Complex[Tensor, "batch frame bin"],
        added: Complex[Tensor, "batch frame bin"],
        n_known: int,
    ) -> Complex[Tensor, "batch frame bin"]:
        states = torch.empty_like(added)
        states[:, :n_known] = added[:, :n_known]
        state, given, factors = (x.unbind(1) for x in (states, added, kept))
        for frame in range(n_known, len(state)):
            torch.addcmul(given[frame], state[frame - 1], factors[frame], out=state[frame])
        ctx.save_for_backward(kept, states)
        ctx.n_known = n_known
        return states

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        kept, states = ctx.saved_tensors
        by_added = gradients[0].clone()
        rows, factors = by_added.unbind(1), kept.conj().resolve_conj().unbind(1)
        for frame in range(len(rows) - 1, ctx.n_known - 1, -1):
            rows[frame - 1].addcmul_(rows[frame], factors[frame])
        by_kept = torch.zeros_like(kept)
        later = slice(ctx.n_known, None)
        torch.mul(by_added[:, later], states[:, ctx.n_known - 1 : -1].conj(), out=by_kept[:, later])
        return by_kept, by_added, None


def sinusoids(
    amplitude: Complex[Tensor, "*batch bin"], deviation: Float[Tensor, "*batch tuned"]
) -> Complex[Tensor, "*batch bin"]:
    """The Hann spectrum of a sinusoid at every `bin + deviation`; above the tuned bins, at `bin`.

    Each writes the whole main lobe that a sinusoid of its frequency has (Rodet & Depalle 1992), so
    that frames of a steady one fit together. `amplitude` holds the phase in the middle of the
    window. |deviation| is to be below 1; at 0.75 what lies beyond the lobe is 30 dB lower.
    """
    spectrum: Tensor = _Sinusoids.apply(amplitude, deviation)
    return spectrum


def sinusoids_at(
    amplitude: Complex[Tensor, "*batch bin"], place: Float[Tensor, "*batch bin"]
) -> Complex[Tensor, "*batch bin"]:
    """`sinusoids` whose frequencies, `place` in bins, may lie far from their own bins.

    What lies below the first bin or above the last is left out.
    """
    n_bins = amplitude.shape[-1]
    own = torch.arange(n_bins, device=place.device)
    return lobes(amplitude * (1 - 2 * (own % 2)), place, n_bins)  # signs alternate over the bins


def lobes(
    amplitude: Complex[Tensor, "*batch sinusoid"],
    place: Float[Tensor, "*#batch sinusoid"],
    bins: int,
) -> Complex[Tensor, "*batch bin"]:
    """The sum of the main lobes of sinusoids at `place`, in bins.

    `amplitude` holds their phases in the middle of the window. What lies outside of the `bins` is
    left out.
    """
    nearest = place.detach().round()
    sign = 1 - 2 * (nearest % 2)  # from the middle of the window to its beginning
    weights = torch.stack(lobe(place - nearest), dim=-1) * sign[..., None]
    padded = bins + 2 * REACH_BINS
    reach = torch.arange(2 * REACH_BINS + 1, device=place.device)
    index = (nearest.long()[..., None] + reach).clamp(0, padded - 1).flatten(-2)
    index = index.expand(*amplitude.shape[:-1], -1)
    written = [
        torch.zeros(*amplitude.shape[:-1], padded, dtype=place.dtype, device=place.device)
        .scatter_add(-1, index, (part[..., None] * weights).flatten(-2))
        .narrow(-1, REACH_BINS, bins)
        for part in (amplitude.real, amplitude.imag)
    ]
    return torch.complex(*written)


def lobe(deviation: Float[Tensor, "*batch tuned"]) -> tuple[Float[Tensor, "*batch tuned"], ...]:
    """What a sinusoid at `bin + deviation` writes into the five bins around `bin`.

    A window's spectrum is sinc(x) / (1 - x^2), with alternating signs, for x bins from the
    frequency; the sines in it are one, and what would divide by 0 is cancelled.
    """
    d = deviation
    peak = torch.sinc(d)
    side = peak * d
    return (
        -side / ((d + 1) * (d + 2) * (d + 3)),
        -peak / ((d + 1) * (d + 2)),
        peak / ((1 - d) * (1 + d)),
        -peak / ((1 - d) * (2 - d)),
        side / ((1 - d) * (2 - d) * (3 - d)),
    )


class _Sinusoids(torch.autograd.Function):
    """Sums of shifted products in place, which autograd would copy for every shift."""

    @staticmethod
    def forward(
        ctx: Any,
        amplitude: Complex[Tensor, "*batch bin"],
        deviation: Float[Tensor, "*batch tuned"],
    ) -> Complex[Tensor, "*batch bin"]:
        ctx.save_for_backward(amplitude, deviation)
        n_tuned = deviation.shape[-1]
        padded = functional.pad(amplitude, (REACH_BINS, REACH_BINS))
        padded[..., REACH_BINS : REACH_BINS + n_tuned] = 0
        low, high = amplitude[..., :n_tuned], amplitude[..., n_tuned:]
        for place in (-1, 1):
            first = REACH_BINS + n_tuned + place
            padded[..., first : first + high.shape[-1]].add_(high, alpha=-0.5)
        for place, weight in enumerate(lobe(deviation)):
            padded[..., place : place + n_tuned] += low * weight
        return padded[..., REACH_BINS:-REACH_BINS]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        amplitude, deviation = ctx.saved_tensors
        n_tuned = deviation.shape[-1]
        low = amplitude[..., :n_tuned]
        padded = functional.pad(gradients[0], (REACH_BINS, REACH_BINS))
        by_amplitude = gradients[0].clone()
        high = by_amplitude[..., n_tuned:]
        for place in (-1, 1):
            first = REACH_BINS + n_tuned + place
            high.add_(padded[..., first : first + high.shape[-1]], alpha=-0.5)
        with torch.enable_grad():
            d = deviation.detach().requires_grad_()
            weights = lobe(d)
        by_weight = []
        by_low = by_amplitude[..., :n_tuned].zero_()
        for place, weight in enumerate(weights):
            heard = padded[..., place : place + n_tuned]
            by_low += heard * weight.detach()
            by_weight.append((heard.real * low.real).addcmul_(heard.imag, low.imag))
        (by_deviation,) = torch.autograd.grad(weights, d, by_weight)
        return by_amplitude, by_deviation
