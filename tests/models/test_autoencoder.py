"""The autoencoder around its networks: shapes, mid/side, receptive field, refusals."""

import math

import pytest
import torch
from numpy.testing import assert_allclose
from torch import Tensor, nn

from models.presets import ARCHITECTURES, Blocks, Point, Unblock, build, tracks, transparent
from timbrel.contracts import Latent
from timbrel.models import free_sinusoids
from timbrel.models.autoencoder import Autoencoder, _check_part
from timbrel.models.blocks import FrameStack


def _noise(*shape: int, seed: int = 0) -> Tensor:
    return 0.3 * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(("latent_dim", "clip_dim"), [(32, 0), (8, 5), (0, 16)])
def test_shapes(architecture: str, channels: int, latent_dim: int, clip_dim: int) -> None:
    model = build(architecture, channels=channels, latent_dim=latent_dim, clip_dim=clip_dim)
    hop = model.hop_samples
    for time in (1, hop, hop + 1, 5 * hop - 1):
        frames = math.ceil(time / hop)
        with torch.no_grad():
            given = tracks(model, 2, time)
            posterior = model.encode(_noise(2, channels, time), given)
            audio = model.decode(posterior.mean)
        assert posterior.mean.frames.shape == (2, latent_dim, frames)
        assert posterior.mean.clip.shape == (2, clip_dim)
        assert posterior.log_var is not None
        assert posterior.log_var.frames.shape == posterior.mean.frames.shape
        assert posterior.log_var.clip.shape == posterior.mean.clip.shape
        assert audio.shape == (2, channels, frames * hop)
        assert audio.dtype == torch.float32
        assert torch.isfinite(audio).all()


@pytest.mark.parametrize("channels", [1, 2])
def test_nothing_is_lost_around_the_networks(channels: int) -> None:
    model = transparent(channels)
    audio = _noise(2, channels, 13)
    back = model.decode(model.encode(audio).mean)
    assert back.shape == (2, channels, 16)
    assert_allclose(back[..., :13], audio, atol=1e-6)
    assert_allclose(back[..., 13:], 0.0, atol=1e-7)


def test_stereo_is_mid_and_side_inside() -> None:
    model = transparent(2)
    audio = _noise(1, 2, 16)
    code = model.encode(audio).mean.frames
    mid, side = code[:, :4], code[:, 4:]
    left, right = audio[0].unflatten(1, (-1, 4)).transpose(1, 2)
    assert_allclose(mid[0], (left + right) * math.sqrt(0.5), atol=1e-6)
    assert_allclose(side[0], (left - right) * math.sqrt(0.5), atol=1e-6)
    assert_allclose(code.square().sum(), audio.square().sum(), rtol=1e-6)  # orthonormal


def test_two_equal_channels_have_no_side() -> None:
    same = _noise(1, 1, 16).expand(1, 2, 16)
    assert (transparent(2).encode(same).mean.frames[:, 4:] == 0).all()


def test_the_mono_sum_hears_the_mid_alone() -> None:
    model = transparent(2)
    code = model.encode(_noise(1, 2, 16)).mean.frames
    other = torch.cat([code[:, :4], _noise(1, 4, 4, seed=9)], dim=1)
    clip = torch.zeros(1, 0)
    sums = [model.decode(Latent(frames, clip)).sum(1) for frames in (code, other)]
    assert_allclose(*sums, atol=1e-6)


def _loud(model: Autoencoder) -> Autoencoder:
    """Weights that let a neighbour's influence through every layer, above rounding."""
    rng = torch.Generator().manual_seed(3)
    for module in model.modules():
        if isinstance(module, nn.Conv1d):
            nn.init.normal_(module.weight, std=1.0, generator=rng)
    for name, parameter in model.named_parameters():
        if name.endswith("scale"):
            nn.init.ones_(parameter)
    return model.requires_grad_(False)


def _changed_frames(one: Tensor, two: Tensor, at: int) -> list[int]:
    """Offsets from frame `at` of the frames (last axis) that differ in any bit."""
    differs = (one != two).flatten(0, -2).any(0)
    return [int(frame) - at for frame in differs.nonzero()]


def _assert_reach(changed: list[int], reach: int, swallowed: int = 1) -> None:
    """No further than stated; and all of it, but for outermost taps that rounding swallows."""
    least = reach - swallowed
    assert set(range(-least, least + 1)) <= set(changed) <= set(range(-reach, reach + 1))


@pytest.fixture
def restless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Free sinusoids begin in every frame, or their phases would go on to the end of the sound."""
    monkeypatch.setattr(free_sinusoids, "_ONSET_NEPERS", -math.inf)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_encoders_reach_is_what_it_says(architecture: str) -> None:
    model = _loud(build(architecture))
    reach, hop = model.encoder_context_frames, model.hop_samples
    at = reach + 3
    audio = _noise(1, 1, (2 * at + 1) * hop)
    other = audio.clone()
    other[..., at * hop : (at + 1) * hop] = _noise(1, 1, hop, seed=5)
    given = tracks(model, 1, audio.shape[-1], confidence=1.0)
    one, two = (model.encode(x, given).mean.frames for x in (audio, other))
    _assert_reach(_changed_frames(one, two, at), reach)


@pytest.mark.usefixtures("restless")
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_decoders_reach_is_what_it_says(architecture: str) -> None:
    model = _loud(build(architecture))
    reach, hop = model.decoder_context_frames, model.hop_samples
    at = reach + 3
    frames = _noise(1, model.latent_dim, 2 * at + 1)
    other = frames.clone()
    other[..., at] = 3.0 * _noise(1, model.latent_dim, seed=5)
    clip, given = torch.zeros(1, 0), tracks(model, 1, frames.shape[2] * hop, confidence=1.0)
    one, two = (
        model.decode(Latent(x, clip, given))[0].unflatten(1, (-1, hop)) for x in (frames, other)
    )
    changed = _changed_frames(one.transpose(1, 2), two.transpose(1, 2), at)
    # Where a level is measured, the feet of two windows are multiplied.
    _assert_reach(changed, reach, swallowed=2 if model.conditions else 1)


@pytest.mark.usefixtures("restless")
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_receptive_field_covers_the_chain(architecture: str) -> None:
    model = _loud(build(architecture))
    reach = model.encoder_context_frames + model.decoder_context_frames
    hop = model.hop_samples
    assert model.receptive_field_samples == (2 * reach + 1) * hop
    at = reach + 2
    audio = _noise(1, 1, (2 * at + 1) * hop)
    other = audio.clone()
    other[..., at * hop : (at + 1) * hop] = _noise(1, 1, hop, seed=5)
    given = tracks(model, 1, audio.shape[-1], confidence=1.0)
    one, two = (model.decode(model.encode(x, given).mean) for x in (audio, other))
    differs = (one != two)[0, 0].nonzero()
    assert at * hop - reach * hop <= int(differs.min())
    assert int(differs.max()) < (at + 1 + reach) * hop


def test_a_clip_code_reaches_every_frame() -> None:
    model = build("spectral_small", latent_dim=0, clip_dim=16)
    frames = torch.zeros(1, 0, 9)
    one, two = (model.decode(Latent(frames, torch.full((1, 16), v))) for v in (0.0, 1.0))
    assert _changed_frames(
        *(x[0].unflatten(1, (9, -1)).transpose(1, 2) for x in (one, two)), 0
    ) == (list(range(9)))


def test_spectral_is_the_size_that_is_told() -> None:
    model = build("spectral")
    millions = sum(p.numel() for p in model.parameters()) / 1e6
    assert millions == pytest.approx(4.2, abs=0.1)
    assert model.latent_values_per_second == 3000.0
    assert model.hop_samples == 512


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_windows_travel_with_no_checkpoint(architecture: str) -> None:
    assert not [name for name in build(architecture).state_dict() if "window" in name]


def test_what_cannot_be_is_refused() -> None:
    model = transparent(2)
    with pytest.raises(
        ValueError, match=r"expected audio \(batch, 2, time > 0\), got \(1, 1, 16\)"
    ):
        model.encode(_noise(1, 1, 16))
    with pytest.raises(ValueError, match=r"time > 0"):
        model.encode(torch.zeros(1, 2, 0))
    parts = {"encoder": Blocks(), "posterior": Point(), "decoder": Unblock(1)}
    sizes = {"sample_rate_hz": 48_000, "channels": 1, "latent_dim": 4, "clip_dim": 0}
    with pytest.raises(ValueError, match="channels=3: a model is mono"):
        Autoencoder(**{**sizes, "channels": 3}, **parts)
    with pytest.raises(ValueError, match="nothing would pass the bottleneck"):
        Autoencoder(**{**sizes, "latent_dim": 0}, **parts)
    parts["decoder"].hop_samples = 8
    with pytest.raises(ValueError, match="encoder hop 4 and decoder hop 8 differ"):
        Autoencoder(**sizes, **parts)
    with pytest.raises(ValueError, match="kernel_frames=4 must be odd"):
        FrameStack(width=8, blocks=1, kernel_frames=4, expansion=2)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_half_precision_gives_full_precision_audio(architecture: str) -> None:
    model = build(architecture).requires_grad_(False)
    audio = _noise(1, 1, 4096)
    with torch.autocast("cpu", torch.bfloat16):
        posterior = model.encode(audio, tracks(model, 1, 4096))
        half = model.decode(posterior.mean)
    assert posterior.mean.frames.dtype == half.dtype == torch.float32
    exact = model.encode(audio, tracks(model, 1, 4096)).mean.frames
    assert (posterior.mean.frames - exact).abs().max() < 0.1 * exact.abs().max()


def test_a_part_that_lacks_what_its_protocol_asks_for_is_named() -> None:
    with pytest.raises(ValueError, match="encoder: Identity has no hop_samples and no context_fr"):
        _check_part("encoder", nn.Identity())
    with pytest.raises(ValueError, match=r"decoder: str is not a torch\.nn\.Module"):
        _check_part("decoder", "deaf")
