"""Short-time Fourier analysis and its exact inverse on a frame grid of whole hops.

A signal of `frames * hop_samples` samples has exactly `frames` frames: frame `t` is centred on the
middle of its own hop, and the outermost windows reach into zeros. (`torch.stft(center=True)` gives
one frame more, which would cost a latent vector per clip.)
"""

from typing import Any

import torch
from jaxtyping import Complex, Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional


def hann(window_samples: int) -> Float[Tensor, " window"]:
    """Periodic Hann window."""
    return torch.hann_window(window_samples, periodic=True)


def stft(
    audio: Float[Tensor, "*batch time"], window: Float[Tensor, " window"], hop_samples: int
) -> Complex[Tensor, "*batch bin frame"]:
    """Spectrum of every hop; `time` must be a whole number of hops.

    Raises:
        ValueError: `time` is not a multiple of `hop_samples`, or window - hop is odd.
    """
    n_window = len(window)
    if audio.shape[-1] % hop_samples or (n_window - hop_samples) % 2:
        raise ValueError(
            f"{audio.shape[-1]} samples are not whole hops of {hop_samples} "
            f"(window {n_window}, which must exceed the hop by an even number)"
        )
    edge = (n_window - hop_samples) // 2
    padded = functional.pad(audio, (edge, edge))
    frames = padded.unfold(-1, n_window, hop_samples)  # (*batch, frame, window)
    return torch.fft.rfft(frames * window, dim=-1).transpose(-1, -2)


def spectra(
    audio: Float[Tensor, "*batch time"], window: Float[Tensor, " window"], hop_samples: int
) -> Complex[Tensor, "*batch frame bin"]:
    """Spectra of the windows that lie whole in `audio`, the first at its beginning.

    For losses: with a gradient of its own, once differentiable. Autograd would run a complex FFT
    over both halves of the spectrum. The window is to be whole hops where a gradient is asked for.
    """
    found: Tensor = _Spectra.apply(audio, window, hop_samples)
    return found


class _Spectra(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, audio: Tensor, window: Tensor, hop_samples: int) -> Tensor:
        ctx.save_for_backward(window)
        ctx.hop_samples, ctx.n_time = hop_samples, audio.shape[-1]
        return torch.fft.rfft(audio.unfold(-1, len(window), hop_samples) * window, dim=-1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (window,) = ctx.saved_tensors
        gradient = gradients[0].clone()
        return spectra_adjoint_(gradient, window, ctx.hop_samples, ctx.n_time), None, None


def spectra_adjoint_(
    gradient: Complex[Tensor, "*batch frame bin"],
    window: Float[Tensor, " window"],
    hop_samples: int,
    n_time: int,
) -> Float[Tensor, "*batch time"]:
    """The gradient of `n_time` samples whose `spectra` have this one, which is overwritten.

    The adjoint of rfft is n irfft with the interior bins halved.
    """
    gradient[..., 0] *= 2.0
    gradient[..., -1] *= 2.0
    frames = torch.fft.irfft(gradient, n=len(window), dim=-1).mul_(window * (len(window) / 2))
    audio = overlap_add(frames.flatten(0, -3), hop_samples)
    audio = functional.pad(audio, (0, n_time - audio.shape[-1]))  # a tail that no window reached
    return audio.view(*gradient.shape[:-2], n_time)


def istft(
    spectrum: Complex[Tensor, "batch bin frame"],
    window: Float[Tensor, " window"],
    hop_samples: int,
) -> Float[Tensor, "batch time"]:
    """Least-squares inverse of `stft` (Griffin & Lim 1984, eq. 6): overlap-add over window energy.

    Returns `frame * hop_samples` samples. Any complex array is accepted, consistent or not.
    """
    n_window = len(window)
    frames = torch.fft.irfft(spectrum.transpose(-1, -2), n=n_window, dim=-1) * window
    energy = (window**2).expand(1, frames.shape[1], n_window)
    edge = (n_window - hop_samples) // 2
    audio = overlap_add(frames, hop_samples)[:, edge : -edge or None]
    norm = overlap_add(energy, hop_samples)[:, edge : -edge or None]
    return audio / norm


def power(spectrum: Complex[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Squared magnitudes."""
    return spectrum.real.square().addcmul_(spectrum.imag, spectrum.imag)


def mean_square(
    power: Float[Tensor, "*shape"], window: Float[Tensor, " window"]
) -> Float[Tensor, "*shape"]:
    """What bins of that `power` add to the mean square of a frame that `window` was taken of.

    By Parseval, for all bins but the first and the last, of which there is one each.
    """
    return power * (2 / (len(window) * window.square().sum()))


def overlap_add(
    frames: Float[Tensor, "batch frame window"], hop_samples: int
) -> Float[Tensor, "batch time"]:
    """Sum of windows placed one hop apart: `(frame - 1) * hop_samples + window` samples.

    Raises:
        ValueError: the window is not a whole number of hops.
    """
    n_batch, n_frames, n_window = frames.shape
    if n_window % hop_samples:
        raise ValueError(f"window {n_window} is not a multiple of the hop {hop_samples}")
    overlap = n_window // hop_samples
    parts = frames.unflatten(2, (overlap, hop_samples))
    audio = frames.new_zeros(n_batch, n_frames + overlap - 1, hop_samples)
    for i in range(overlap):
        audio[:, i : i + n_frames] += parts[:, :, i]
    return audio.flatten(1)
