"""A training small enough for a step in milliseconds, without a trainer around it."""

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from models.presets import ARCHITECTURES, config, tracks
from timbrel.contracts import Batch, Columns
from timbrel.losses.mix import LossMix
from timbrel.losses.reconstruction import SpectralLoss
from timbrel.training.horizon import Horizon
from timbrel.training.module import OptimizerSettings, Training
from timbrel.training.optimizers import MakeOptimizer

TINY: dict[str, dict[str, Any]] = {
    "spectral": {
        "encoder": {"width": 16, "window_samples": 512, "hop_samples": 128, "blocks": 1},
        "decoder": {"blocks": 1},
    },
    "harmonic": {
        "encoder": {"width": 16, "window_samples": 512, "hop_samples": 128, "blocks": 1},
        "decoder": {"blocks": 1},
    },
    "ddsp": {
        "encoder": {"width": 16, "window_samples": 512, "hop_samples": 128, "blocks": 1},
        "decoder": {"blocks": 1, "partials": 8, "noise_bands": 8},
    },
    "ddsp_hybrid": {
        "encoder": {"width": 16, "window_samples": 512, "hop_samples": 128, "blocks": 1},
        "decoder": {"blocks": 1, "partials": 8, "noise_bands": 8, "transients": 4},
    },
    "rave": {
        "encoder": {"bands": 4, "strides": [4, 2], "widths": [8, 8, 8], "width": 16,
                    "dilations": [[1], [1], [1]]},
        "decoder": {"strides": [2, 4], "widths": [16, 8, 8], "dilations": [[1], [1], [1]]},
    },
}  # fmt: skip
RECONSTRUCTION = {"stft_relative": 1.0, "stft_log": 1.0, "waveform": 0.5, "level": 1.0}
FAMILIES = sorted({name.removesuffix("_small") for name in ARCHITECTURES})
HOPS = {"spectral": 128, "harmonic": 128, "ddsp": 128, "ddsp_hybrid": 128, "rave": 32}
N, TIME = 3, 2048


def choices(architecture: str, latent: str, **changes: Any) -> DictConfig:
    small = OmegaConf.merge(TINY[architecture], {"latent_dim": 4, "clip_dim": 2}, changes)
    return config(architecture, latent, **small)


def adamw(learning_rate: float, weight_decay: float = 0.01) -> MakeOptimizer:
    return partial(
        torch.optim.AdamW,
        lr=learning_rate,
        betas=(0.9, 0.99),
        weight_decay=weight_decay,
        fused=True,
    )


def training(
    chosen: DictConfig,
    *,
    seed: int = 0,
    more_weights: Mapping[str, float] = MappingProxyType({}),
    clip_norm: float = 1.0,
    autocast: bool = False,
    steps: int = 100,
    learning_rate: float = 1e-3,
    make: MakeOptimizer | None = None,
    **settings: Any,
) -> Training:
    """The module, its optimizers made, without a trainer around it."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = instantiate(chosen.architecture, _convert_="all")
        penalty = instantiate(chosen.latent.penalty, _convert_="all")
    weights = instantiate(chosen.latent.weights, _convert_="all")
    module = Training(
        model=model,
        reconstruction=SpectralLoss(window_samples=[512, 256]),
        penalty=penalty,
        mix=LossMix({**RECONSTRUCTION, **weights, **more_weights}),
        optimizer=OptimizerSettings(
            make=make or adamw(learning_rate), learning_rate=learning_rate, warmup_steps=0,
            gradient_clip_norm=clip_norm, ema_decay=0.9,
        ),
        horizon=Horizon(max_steps=steps),
        seed=seed,
        autocast=autocast,
        **settings,
    )  # fmt: skip
    optimizers = module.configure_optimizers()
    module.optimizers = lambda: optimizers if len(optimizers) > 1 else optimizers[0]
    module.manual_backward = Tensor.backward
    return module


def measured(architecture: str, n: int = N) -> Batch:
    """Noise, with two attributes per frame and none per clip, and what a decoder asks for."""
    with torch.random.fork_rng():
        model = instantiate(choices(architecture, "vae").architecture, _convert_="all")
    rng = torch.Generator().manual_seed(1)
    audio = 0.3 * torch.randn(n, 1, TIME, generator=rng)
    shape = (n, 2, TIME // HOPS[architecture])
    values = torch.randn(shape, generator=rng)
    index = torch.arange(n)
    return Batch(
        audio, audio, index, index,
        conditions=tracks(model, n, TIME),
        frame_attributes=Columns(
            ("log_f0_octaves", "log_centroid_octaves"), values, torch.ones(shape) > 0),
    )  # fmt: skip


def weights_of(module: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in module.named_parameters()}


def moved(before: dict[str, Tensor], module: nn.Module) -> set[str]:
    return {name for name, p in module.named_parameters() if not torch.equal(p, before[name])}


def curve(module: Training, batch: Batch, steps: int) -> list[float]:
    totals = []
    for index in range(steps):
        module.training_step(batch, index)
        assert module.objective is not None
        totals.append(float(module.objective.total))
    return totals
