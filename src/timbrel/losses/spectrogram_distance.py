"""One resolution of the spectral loss, with its gradient written out.

Autograd would keep some twenty spectrogram-sized tensors and run a full complex FFT backwards;
the closed form keeps three and runs a real one: 2.5 times faster on a CPU (benchmarks/).
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from timbrel.dsp.stft import power, spectra, spectra_adjoint_


class SpectrogramDistance(torch.autograd.Function):
    """`(estimate, target, window, hop_samples, floor, silence_rms) -> (relative, log)`, `(batch,)`.

    With P = max(|X|^2, floor^2) and M = sqrt(P) of the estimate, M* of the target:
    relative = ||M - M*|| / sqrt(||M*||^2 + noise), log = mean |ln M - ln M*|. The gradient reaches
    the estimate alone, and vanishes in bins below the floor.
    """

    @staticmethod
    def forward(
        ctx: Any,
        estimate: Float[Tensor, "batch channel time"],
        target: Float[Tensor, "batch channel time"],
        window: Float[Tensor, " window"],
        hop_samples: int,
        floor: float,
        silence_rms: float,
    ) -> tuple[Float[Tensor, " batch"], Float[Tensor, " batch"]]:
        spectrum = _spectrum(estimate, window, hop_samples)
        raw_power = power(spectrum)
        heard_power = raw_power.clamp_min(floor**2)
        wanted_power = power(_spectrum(target, window, hop_samples)).clamp_min(floor**2)
        magnitude = heard_power.sqrt()
        wanted = wanted_power.sqrt()

        error = magnitude - wanted
        n_elements = error[0].numel()
        noise_energy = silence_rms**2 * (window**2).sum() * n_elements
        norm = (wanted_power.flatten(1).sum(1) + noise_energy).sqrt()
        distance = error.square().flatten(1).sum(1).sqrt()
        log_ratio = (heard_power / wanted_power).log_()
        log = 0.5 * log_ratio.abs().flatten(1).sum(1) / n_elements

        if ctx.needs_input_grad[0]:
            unheard = raw_power <= floor**2
            # d relative / dP and d log / dP, up to the per-example factors applied backwards
            by_relative = error.div_(magnitude)
            by_log = log_ratio.sign_().div_(heard_power)
            scale = 1.0 / (2.0 * distance * norm).clamp_min(1e-12)
            ctx.save_for_backward(spectrum, unheard, by_relative, by_log, scale, window)
            ctx.hop_samples = hop_samples
            ctx.n_time = estimate.shape[-1]
        return distance / norm, log

    @staticmethod
    @once_differentiable  # a second derivative would be wrong without a word
    def backward(
        ctx: Any, grad_relative: Tensor, grad_log: Tensor
    ) -> tuple[Tensor, None, None, None, None, None]:
        spectrum, unheard, by_relative, by_log, scale, window = ctx.saved_tensors
        per_example = (-1, *[1] * (by_log.dim() - 1))
        n_elements = by_log[0].numel()
        # dP/dX is 2X.
        grad_power = by_relative * (2.0 * grad_relative * scale).view(per_example)
        grad_power.addcmul_(by_log, (grad_log / n_elements).view(per_example))
        grad_power.masked_fill_(unheard, 0.0)
        edge, n_time = len(window) // 2, ctx.n_time
        grad = spectra_adjoint_(spectrum * grad_power, window, ctx.hop_samples, n_time + 2 * edge)
        return grad[..., edge : edge + n_time], None, None, None, None, None


def _spectrum(audio: Tensor, window: Tensor, hop_samples: int) -> Tensor:
    """`batch channel frame bin`, complex; windows reach half their length beyond both ends."""
    edge = len(window) // 2
    return spectra(functional.pad(audio, (edge, edge)), window, hop_samples)
