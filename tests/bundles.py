"""A small real model, untrained but audible, and its bundle."""

from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from signals import sine
from timbrel.analysis.latent_statistics import fit_latent_statistics
from timbrel.generation.file_source import encode_whole
from timbrel.library import Card, Frontend, TrainingData, save_bundle
from timbrel.models.autoencoder import Autoencoder

CONF = Path(__file__).resolve().parents[1] / "conf"


def small_config(
    *,
    channels: int = 1,
    latent_dim: int = 6,
    clip_dim: int = 0,
    width: int = 24,
    rate_hz: int = 48_000,
) -> dict[str, Any]:
    """`architecture=spectral_small` as a plain tree, narrower still."""
    architecture = OmegaConf.merge(
        OmegaConf.load(CONF / "architecture/spectral.yaml"),
        OmegaConf.load(CONF / "architecture/spectral_small.yaml"),
        {"latent_dim": latent_dim, "clip_dim": clip_dim},
        {"encoder": {"width": width}, "decoder": {"blocks": 2}},
    )
    del architecture["defaults"]
    root = OmegaConf.create(
        {
            "architecture": architecture,
            "latent": OmegaConf.load(CONF / "latent/base/gaussian.yaml"),
            "data": {"sample_rate_hz": rate_hz, "channels": channels},
        }
    )
    return OmegaConf.to_container(root.architecture, resolve=True)


def small_model(**settings: Any) -> tuple[Autoencoder, dict[str, Any]]:
    """The model, seeded, and the config that builds it."""
    config = small_config(**settings)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = instantiate(config, _convert_="all").eval()
    # An untrained decoder whispers; a trained one does not.
    torch.nn.init.constant_(model.decoder.magnitude.bias, -2.0)
    return model.requires_grad_(False), config


def small_bundle(
    folder: Path, *, downmix: str = "mean", louder: float = 0.0, **settings: Any
) -> Path:
    """A saved bundle of `small_model`; `louder` adds to its log magnitudes."""
    model, config = small_model(**settings)
    model.decoder.magnitude.bias += louder
    rng = torch.Generator().manual_seed(0)
    clips = [
        model.encode(torch.randn(1, model.channels, 20_000, generator=rng) * 0.1).mean
        for _ in range(8)
    ]
    save_bundle(
        folder,
        model,
        config,
        Frontend(sample_rate_hz=model.sample_rate_hz, channels=model.channels, downmix=downmix),
        fit_latent_statistics(clips),
        Card(name="tiny", trained_on=TrainingData(("noise",), 8, 3.3), seed=0),
    )
    return folder


def tone_bundle(folder: Path) -> Path:
    """A saved bundle of an untrained harmonic model, which plays the pitch of its tracks."""
    parts = [OmegaConf.load(CONF / f"architecture/{n}.yaml") for n in ("spectral", "harmonic")]
    small = {"latent_dim": 4, "encoder": {"width": 16}, "decoder": {"width": 16, "blocks": 1}}
    architecture = OmegaConf.merge(*parts, small)
    del architecture["defaults"]
    root = {
        "architecture": architecture,
        "latent": OmegaConf.load(CONF / "latent/base/gaussian.yaml"),
        "data": {"sample_rate_hz": 48_000, "channels": 1},
    }
    config = OmegaConf.to_container(OmegaConf.create(root).architecture, resolve=True)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = instantiate(config, _convert_="all").eval().requires_grad_(False)
    torch.nn.init.constant_(made.decoder.noise.values.bias, -20.0)
    codes = [encode_whole(made, 0.3 * sine(hz, 0.6)[None].astype("f4")) for hz in (150, 200, 300)]
    save_bundle(
        folder,
        made,
        config,
        Frontend(
            sample_rate_hz=48_000,
            channels=1,
            downmix="mean",
            conditions=tuple(made.conditions),
        ),
        fit_latent_statistics(codes),
        Card(name="tone", trained_on=TrainingData(("tone",), 3, 1.8), seed=0),
    )
    return folder
