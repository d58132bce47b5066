"""What a training would cost: measured on a few real steps, nothing kept."""

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import psutil
import torch

from timbrel.contracts import Batch
from timbrel.losses.mix import LossMix
from timbrel.models.autoencoder import Autoencoder
from timbrel.randomness import torch_generator
from timbrel.training.adversaries import (
    adversary_terms,
    all_adversaries,
    check_learners,
    learning,
    own_loss,
)
from timbrel.training.module import forward_pass, loss_terms
from timbrel.words import duration

_STEPS = 4
_BYTES_PER_PARAMETER = 4 * 5  # weights, averaged weights, gradient, two moments


@dataclass(frozen=True)
class DryRun:
    """Figures of one configuration on one machine."""

    parameters: int
    receptive_field_samples: int
    latent_values_per_second: float
    clip_values: int
    sample_rate_hz: int
    step_s: float
    audio_s_per_step: float
    memory_bytes: int
    max_steps: int | None
    max_time_s: float | None

    def text(self) -> str:
        """A small table for the terminal."""
        by_time = int(self.max_time_s / self.step_s) if self.max_time_s else None
        limits = [n for n in (self.max_steps, by_time) if n is not None]
        steps = min(limits)
        field_ms = 1000 * self.receptive_field_samples / self.sample_rate_hz
        rows = {
            "parameters": f"{self.parameters / 1e6:.2f} M",
            "receptive field": f"{self.receptive_field_samples:,} samples ({field_ms:.0f} ms)",
            "latent values": f"{self.latent_values_per_second:,.0f} per second"
            + (f" and {self.clip_values} per clip" if self.clip_values else ""),
            "memory": f"{self.memory_bytes / 2**30:.2f} GiB",
            "step": f"{self.step_s:.3f} s, {self.audio_s_per_step / self.step_s:.1f} audio-s/s",
            "duration": f"{steps:,} steps, {duration(steps * self.step_s)}",
        }
        width = max(map(len, rows))
        return "\n".join(f"{name:<{width}}  {value}" for name, value in rows.items())


def measure(
    model: Autoencoder,
    reconstruction: torch.nn.Module,
    penalty: torch.nn.Module,
    mix: LossMix,
    batch: Batch,
    *,
    adversaries: Mapping[str, torch.nn.Module],
    device: torch.device,
    autocast: bool,
    max_steps: int | None,
    max_time_s: float | None,
) -> DryRun:
    """Time a few forward and backward passes (the first is a warm-up) and the memory they take.

    With phases, it is a step in which everything learns and every adversary plays.

    Memory is the process's resident set on a CPU, the allocator's peak on CUDA, plus what the
    optimizer and the averaged weights will add.
    """
    check_learners(model, reconstruction, penalty, adversaries)
    for part in (model, reconstruction, penalty, *adversaries.values()):
        part.to(device)
    batch = batch.to(device)
    durations_s = []
    for step in range(_STEPS):
        start_s = time.perf_counter()
        generators = partial(torch_generator, 0, step, device=device)
        rng = generators("posterior")
        forward = forward_pass(model, batch, rng, autocast)
        terms = loss_terms(model, reconstruction, penalty, forward, batch, step, rng)
        terms |= adversary_terms(adversaries, forward, batch, step, generators, autocast)
        mix(terms, step).total.backward()
        for key, part in all_adversaries(penalty, adversaries).items():
            loss = own_loss(key, part, forward.detached(), batch, step, generators, autocast)
            loss.backward()
        if device.type == "cuda":
            torch.cuda.synchronize()
        durations_s.append(time.perf_counter() - start_s)
    parameters = sum(p.numel() for p in model.parameters())
    against = sum(
        p.numel() for part in all_adversaries(penalty, adversaries).values() for p in learning(part)
    )
    used = (
        torch.cuda.max_memory_allocated()
        if device.type == "cuda"
        else psutil.Process().memory_info().rss
    )
    return DryRun(
        parameters=parameters,
        receptive_field_samples=model.receptive_field_samples,
        latent_values_per_second=model.latent_values_per_second,
        clip_values=model.clip_dim,
        sample_rate_hz=model.sample_rate_hz,
        step_s=statistics.median(durations_s[1:]),
        audio_s_per_step=batch.target.shape[0] * batch.target.shape[-1] / model.sample_rate_hz,
        memory_bytes=used + (_BYTES_PER_PARAMETER - 8) * parameters + 8 * against,
        max_steps=max_steps,
        max_time_s=max_time_s,
    )
