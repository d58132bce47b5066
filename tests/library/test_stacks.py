"""Bundles of `architecture=ddsp` keep their stack; those from before there was a choice open."""

from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

import timbrel
from models.presets import build, config
from signals import sine
from timbrel.analysis.latent_statistics import fit_latent_statistics
from timbrel.contracts import Latent
from timbrel.generation.engine import decode_stream
from timbrel.generation.file_source import encode_whole
from timbrel.library import Card, Frontend, TrainingData, load_bundle, save_bundle
from timbrel.models.blocks import FrameStack
from timbrel.models.recurrent import RecurrentStack

KINDS = {"recurrent": RecurrentStack, "convolutional": FrameStack, None: FrameStack}


def saved(folder: Path, kind: str | None) -> tuple[Latent, torch.Tensor]:
    """A bundle at `folder`, a code and its sound; None: its config names no stack."""
    settings = {
        "encoder": {"width": 16, "blocks": 1}, "latent_dim": 4,
        "decoder": {"blocks": 2, "partials": 12, "stack": kind or "convolutional"},
    }  # fmt: skip
    model = build("ddsp", **settings).eval().requires_grad_(False)
    tree = OmegaConf.to_container(config("ddsp", "vae", **settings).architecture, resolve=True)
    if kind is None:
        del tree["decoder"]["stack"]
    codes = [encode_whole(model, 0.3 * sine(hz, 0.6)[None].astype("f4")) for hz in (150, 200, 300)]
    front = Frontend(
        sample_rate_hz=48_000, channels=1, downmix="mean", conditions=tuple(model.conditions)
    )
    card = Card(name="tone", trained_on=TrainingData(("tone",), 3, 1.8), seed=0)
    save_bundle(folder, model, tree, front, fit_latent_statistics(codes), card)
    return codes[0], model.decode(codes[0])


@pytest.mark.parametrize("kind", KINDS)
def test_an_opened_bundle_plays_the_same_samples(kind: str | None, tmp_path: Path) -> None:
    latent, played = saved(tmp_path / "model", kind)
    model = load_bundle(tmp_path / "model").model
    assert type(model.decoder.stack) is KINDS[kind]
    assert torch.equal(model.decode(latent), played)


def test_a_recurrent_instrument_renders_in_blocks_and_twice_the_same(tmp_path: Path) -> None:
    latent, played = saved(tmp_path / "model", "recurrent")
    instrument = timbrel.load(tmp_path / "model")
    one, two = (instrument.render(seconds=8.0, seed=3).samples for _ in range(2))
    assert one.shape[-1] == 8 * 48_000  # 750 frames, more than a block of the engine
    assert np.array_equal(one, two)
    streamed = list(decode_stream(instrument.model, [latent], block_frames=5))
    peak = float(played.abs().max())
    np.testing.assert_allclose(np.concatenate(streamed, axis=1), played[0], atol=1e-4 * peak)
