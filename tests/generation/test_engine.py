"""Streamed audio equals audio rendered whole; fades and gains have their exact values."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from bundles import small_model
from models.presets import ARCHITECTURES, build
from timbrel.contracts import Latent
from timbrel.errors import UserError
from timbrel.generation.engine import decode_stream, render, shape
from timbrel.generation.file_source import conditions_of, encode_stream
from timbrel.generation.source import FixedSource


def _code(n_frames: int, clip_dim: int = 0) -> Latent:
    rng = torch.Generator().manual_seed(0)
    return Latent(
        torch.randn(1, 6, n_frames, generator=rng), torch.randn(1, clip_dim, generator=rng)
    )


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(("given", "taken"), [(1, 16), (3, 5), (200, 16), (200, 1), (40, 500)])
def test_streamed_decoding_equals_whole(channels: int, given: int, taken: int) -> None:
    model, _ = small_model(channels=channels, clip_dim=3)
    code = _code(101, clip_dim=3)
    whole = model.decode(code)[0].numpy()
    blocks = (Latent(x, code.clip) for x in code.frames.split(given, dim=2))
    streamed = list(decode_stream(model, blocks, block_frames=taken))
    assert np.abs(whole).max() > 0.1
    assert max(b.shape[1] for b in streamed) <= (taken + model.decoder_context_frames) * 512
    assert_allclose(np.concatenate(streamed, axis=1), whole, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_streams(architecture: str, channels: int) -> None:
    model = build(architecture, channels=channels, clip_dim=2).requires_grad_(False)
    audio = 0.3 * torch.randn(1, channels, 40_000, generator=torch.Generator().manual_seed(0))
    conditions = conditions_of(model, audio[0].numpy())
    whole = model.encode(audio, conditions).mean
    coded = list(encode_stream(model, [audio[0].numpy()], conditions, block_frames=19))
    frames = torch.cat([x.frames for x in coded], 2)
    # A level near a zero crossing magnifies rounding; a posterior's least deviation is 9e-4.
    assert_allclose(frames.numpy(), whole.frames.numpy(), atol=1e-4)
    code = Latent(10 * whole.frames, whole.clip, whole.conditions)
    played = model.decode(code)[0].numpy()
    streamed = np.concatenate(list(decode_stream(model, [code], block_frames=17)), axis=1)
    tolerance = 1e-4 if conditions.tracks else 1e-5  # phases of harmonics magnify rounding
    assert_allclose(streamed, played, atol=tolerance * np.abs(played).max())


def test_less_context_than_the_decoder_asks_for_would_be_heard() -> None:
    # Guards the test above: the context is needed, and not one frame of it is spare by much.
    model, _ = small_model()
    code = _code(101)
    whole = model.decode(code)[0].numpy()
    model.decoder_context_frames = 2
    streamed = np.concatenate(list(decode_stream(model, [code], block_frames=16)), axis=1)
    assert np.abs(streamed - whole).max() > 1e-4


@pytest.mark.parametrize(("given", "taken"), [(100, 16), (48_000, 16), (5000, 1), (700, 500)])
@pytest.mark.parametrize("length", [1, 511, 512, 30_000])
def test_streamed_encoding_equals_whole(length: int, given: int, taken: int) -> None:
    model, _ = small_model()
    audio = torch.randn(1, 1, length, generator=torch.Generator().manual_seed(0)) * 0.3
    whole = model.encode(audio).mean.frames
    blocks = (x[0].numpy() for x in audio.split(given, dim=2))
    frames = torch.cat([x.frames for x in encode_stream(model, blocks, block_frames=taken)], 2)
    assert frames.shape == whole.shape
    assert_allclose(frames.numpy(), whole.numpy(), atol=1e-5)


@pytest.mark.parametrize("block", [1, 7, 100])
def test_fades_and_gain_do_not_depend_on_blocks(block: int) -> None:
    ones = np.ones((2, 100), np.float32)
    blocks = (ones[:, i : i + block] for i in range(0, 100, block))
    settings = {"rate_hz": 1000, "gain_db": 6.0, "fade_in_s": 0.01, "fade_out_s": 0.02}
    shaped = np.concatenate(list(shape(blocks, n_samples=90, **settings)), axis=1)
    gain = 10 ** (6 / 20)
    assert shaped.shape == (2, 90)
    assert_allclose(shaped[:, 10:70], gain, rtol=1e-6)
    # A raised cosine and its mirror image add up to 1; it is sin^2 of the way.
    assert_allclose(shaped[0, :10] + shaped[0, 9::-1], gain, rtol=1e-6)
    assert_allclose(shaped[0, :10], gain * np.sin(np.pi * (np.arange(10) + 0.5) / 20) ** 2)
    assert_allclose(shaped[0, 70:], gain * np.cos(np.pi * (np.arange(20) + 0.5) / 40) ** 2)


def test_a_fade_longer_than_the_sound_spans_it() -> None:
    ones = np.ones((1, 10), np.float32)
    settings = {"rate_hz": 1000, "gain_db": 0.0, "fade_in_s": 0.0, "fade_out_s": 5.0}
    shaped = next(shape([ones], n_samples=10, **settings))
    assert (np.diff(shaped[0]) < 0).all()
    assert shaped[0, -1] < 0.01


def test_a_model_that_diverged_is_named() -> None:
    model, _ = small_model()
    torch.nn.init.constant_(model.decoder.noise.bias, torch.nan)
    source = FixedSource(_code(4), hop_samples=512)
    with pytest.raises(UserError, match="not finite"):
        list(render(model, source))


def test_a_fixed_source_ends_where_asked() -> None:
    model, _ = small_model()
    source = FixedSource(_code(4), hop_samples=512, n_samples=700)
    assert sum(b.shape[1] for b in render(model, source)) == 700
