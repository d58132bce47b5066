"""Models built from `conf/architecture` and `conf/latent` as they are; parts with no weights."""

import math
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from timbrel.contracts import Conditions, Latent, Posterior
from timbrel.models.autoencoder import Autoencoder

CONF = Path(__file__).resolve().parents[2] / "conf"
ARCHITECTURES = sorted(path.stem for path in (CONF / "architecture").glob("*.yaml"))
LATENTS = sorted(path.stem for path in (CONF / "latent").glob("*.yaml"))


def option(group: str, name: str) -> DictConfig:
    """One YAML of `conf/` over the YAMLs of its own group that it names as defaults."""
    own = OmegaConf.load(CONF / group / f"{name}.yaml")
    defaults = own.pop("defaults", [])
    parents = [parent.removesuffix("@_here_") for parent in defaults]
    return OmegaConf.merge(*(option(group, parent) for parent in parents), own)


def config(architecture: str, latent: str, *, channels: int = 1, **changes: Any) -> DictConfig:
    """The two options together, with `changes` to the architecture's own keys."""
    root = {
        "data": {"sample_rate_hz": 48_000, "channels": channels},
        "architecture": OmegaConf.merge(option("architecture", architecture), changes),
        "latent": option("latent", latent),
    }
    return OmegaConf.create(root)


def build(architecture: str, latent: str = "vae", **settings: Any) -> Autoencoder:
    """The model, with weights that are the same at every call."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return instantiate(config(architecture, latent, **settings).architecture, _convert_="all")


def tracks(
    model: Autoencoder, n_batch: int, n_samples: int, *, confidence: float = 0.5
) -> Conditions:
    """The conditions that the decoder asks for, for `n_samples` of audio: a beating tone."""
    shape = (n_batch, math.ceil(n_samples / model.hop_samples))
    beats = -20.0 - 6.0 * (torch.arange(shape[1]) % 2).expand(shape)
    values = {
        "f0_hz": torch.full(shape, 220.0),
        "confidence": torch.full(shape, confidence),
        "loudness_db": beats,
        "centroid_hz": torch.full(shape, 1000.0),
        "hnr_db": torch.full(shape, 10.0),
    }
    return Conditions(**{name: values[name] for name in model.conditions})


class Blocks(nn.Module):
    """An encoder without weights: the samples of every hop, all channels, in one row."""

    hop_samples = 4
    context_frames = 0

    def forward(self, audio: Tensor) -> Tensor:
        return audio.unflatten(2, (-1, self.hop_samples)).transpose(1, 2).flatten(2)


class Point(nn.Module):
    """A deterministic posterior: the features are the code."""

    def forward(self, features: Tensor) -> Posterior:
        return Posterior(
            Latent(features.transpose(1, 2), features.new_zeros(len(features), 0)), None
        )


class Unblock(nn.Module):
    """What undoes `Blocks`."""

    hop_samples = 4
    context_frames = 0

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, latent: Latent) -> Tensor:
        rows = latent.frames.transpose(1, 2).unflatten(2, (self.channels, self.hop_samples))
        return rows.transpose(1, 2).flatten(2)


def transparent(channels: int) -> Autoencoder:
    """An autoencoder without loss, to test what is around the networks."""
    return Autoencoder(
        sample_rate_hz=48_000,
        channels=channels,
        latent_dim=4 * channels,
        clip_dim=0,
        encoder=Blocks(),
        posterior=Point(),
        decoder=Unblock(channels),
    )
