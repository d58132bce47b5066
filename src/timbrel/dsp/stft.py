"""Short-time Fourier analysis and its exact inverse on a frame grid of whole hops.

A signal of `frames * hop_samples` samples has exactly `frames` frames: frame `t` is centred on the
middle of its own hop, and the outermost windows reach into zeros. (`torch.stft(center=True)` gives
one frame more, which would cost a latent vector per clip.)
"""

import torch
from jaxtyping import Complex, Float
from torch import Tensor
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
