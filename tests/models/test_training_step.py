"""Every architecture takes a step, with and without a rate; so does one that asks for a pitch.

tests/training/test_module.py has every latent with every architecture, in small.
"""

import math
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from torch import Tensor, nn

from models.presets import ARCHITECTURES, build, config, tracks
from timbrel.contracts import Batch, Conditions, Latent
from timbrel.losses.mix import LossMix
from timbrel.losses.reconstruction import SpectralLoss
from timbrel.models.autoencoder import Autoencoder
from timbrel.models.encoders import SpectralEncoder
from timbrel.models.posteriors import GaussianPosterior, sample

RECONSTRUCTION = {"stft_relative": 1.0, "stft_log": 1.0, "waveform": 0.5, "level": 1.0}


def _step(
    model: Autoencoder, batch: Batch, penalty: nn.Module, weights: dict[str, Any]
) -> dict[str, Tensor]:
    """One step of AdamW; the gradients by name."""
    rng = torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    conditions = batch.conditions
    if not conditions.tracks:
        conditions = tracks(model, len(batch.input), batch.input.shape[2])
    posterior = model.encode(batch.input, conditions)
    latent = sample(posterior, rng)
    estimate = model.decode(latent)[..., : batch.target.shape[-1]]
    terms = {
        **SpectralLoss(window_samples=[512, 256])(estimate, batch.target),
        **penalty(posterior, latent, batch, 0, rng),
    }
    LossMix({**RECONSTRUCTION, **weights})(terms, 0).total.backward()
    optimizer.step()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def _batch(channels: int, time: int, conditions: Conditions | None = None) -> Batch:
    rng = torch.Generator().manual_seed(1)
    audio = 0.3 * torch.randn(2, channels, time, generator=rng)
    index = torch.arange(2)
    return Batch(audio, audio, index, index, conditions or Conditions())


@pytest.mark.parametrize("latent", ["vae", "wae_mmd"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("changes", [{}, {"channels": 2, "latent_dim": 4, "clip_dim": 3}])
def test_every_pair_takes_a_step(architecture: str, latent: str, changes: dict[str, int]) -> None:
    choices = config(architecture, latent, **changes)
    model = build(architecture, latent, **changes)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    penalty = instantiate(choices.latent.penalty)
    weights = instantiate(choices.latent.weights, _convert_="all")
    gradients = _step(model, _batch(changes.get("channels", 1), 2500), penalty, weights)
    assert gradients.keys() == before.keys()  # every parameter learns
    for name, gradient in gradients.items():
        assert torch.isfinite(gradient).all(), name
        assert (gradient != 0).any(), name
    assert all((p != before[name]).any() for name, p in model.named_parameters())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_silence_takes_a_step(architecture: str) -> None:
    choices = config(architecture, "vae")
    batch = _batch(1, 2500).map(torch.zeros_like)
    penalty = instantiate(choices.latent.penalty)
    gradients = _step(build(architecture), batch, penalty, {"kl": 1.0})
    assert all(torch.isfinite(gradient).all() for gradient in gradients.values())


class SineDecoder(nn.Module):
    """One partial at the pitch of the conditions, its amplitude from the code: a DDSP in small."""

    context_frames = 0

    def __init__(self, *, latent_dim: int, hop_samples: int, sample_rate_hz: int) -> None:
        super().__init__()
        self.hop_samples = hop_samples
        self.sample_rate_hz = sample_rate_hz
        self.amplitude = nn.Linear(latent_dim, 1)

    def forward(self, latent: Latent) -> Tensor:
        f0_hz = latent.conditions.f0_hz
        assert f0_hz is not None
        turns = f0_hz.repeat_interleave(self.hop_samples, 1) / self.sample_rate_hz
        loudness = nn.functional.softplus(self.amplitude(latent.frames.transpose(1, 2)))
        wave = torch.sin(2 * math.pi * turns.cumsum(1))
        return (loudness[..., 0].repeat_interleave(self.hop_samples, 1) * wave)[:, None]


def test_a_decoder_may_ask_for_conditions() -> None:
    hop, frames, f0_hz = 512, 8, 750.0
    torch.manual_seed(0)
    model = Autoencoder(
        sample_rate_hz=48_000,
        channels=1,
        latent_dim=4,
        clip_dim=0,
        encoder=SpectralEncoder(
            channels=1, window_samples=1024, hop_samples=hop, phase_bins=8, width=16, blocks=1,
            kernel_frames=3, expansion=2,
        ),
        posterior=GaussianPosterior(width=16, latent_dim=4, clip_dim=0),
        decoder=SineDecoder(latent_dim=4, hop_samples=hop, sample_rate_hz=48_000),
    )  # fmt: skip
    conditions = Conditions(f0_hz=torch.full((2, frames), f0_hz))
    batch = _batch(1, frames * hop, conditions)
    penalty = instantiate(config("spectral", "vae").latent.penalty)
    gradients = _step(model, batch, penalty, {"kl": 1.0})
    assert gradients.keys() == dict(model.named_parameters()).keys()
    assert all(torch.isfinite(gradient).all() for gradient in gradients.values())
    with torch.no_grad():
        audio = model.decode(model.encode(batch.input, conditions).mean)
    loudest = torch.fft.rfft(audio[0, 0]).abs().argmax() * 48_000 / audio.shape[-1]
    assert float(loudest) == pytest.approx(f0_hz, abs=48_000 / audio.shape[-1])
