"""The harmonic decoder: in tune whatever its weights are, silent without confidence, streamable."""

import numpy as np
import pytest
import torch
from torch import nn

from timbrel.attributes.measurement import measure
from timbrel.contracts import Conditions, Latent
from timbrel.generation.engine import decode_stream
from timbrel.models.autoencoder import Autoencoder
from timbrel.models.encoders import SpectralEncoder
from timbrel.models.harmonic import HarmonicDecoder
from timbrel.models.posteriors import GaussianPosterior

RATE_HZ, HOP, FRAMES = 48_000, 512, 94


def autoencoder(channels: int = 1, *, noise: float = -20.0, seed: int = 0) -> Autoencoder:
    torch.manual_seed(seed)
    frame = {"width": 16, "blocks": 1, "kernel_frames": 3, "expansion": 2}
    spectrum = {"channels": channels, "window_samples": 2048, "hop_samples": HOP}
    decoder = HarmonicDecoder(latent_dim=4, clip_dim=0, sample_rate_hz=RATE_HZ, **spectrum, **frame)
    nn.init.constant_(decoder.noise.bias, noise)
    falling = -1.5 * torch.arange(decoder.bins).clamp_min(1).log()  # 9 dB per octave, as of strings
    decoder.envelope.bias = nn.Parameter(falling.repeat(channels))
    made = Autoencoder(
        sample_rate_hz=RATE_HZ, channels=channels, latent_dim=4, clip_dim=0,
        encoder=SpectralEncoder(phase_bins=8, **spectrum, **frame),
        posterior=GaussianPosterior(width=16, latent_dim=4, clip_dim=0), decoder=decoder,
    )  # fmt: skip
    return made.eval().requires_grad_(False)


def code(f0_hz: torch.Tensor, confidence: float = 1.0, seed: int = 0) -> Latent:
    n_frames = len(f0_hz)
    rng = torch.Generator().manual_seed(seed)
    frames = torch.randn(1, 4, 1, generator=rng).expand(-1, -1, n_frames)
    sure = torch.full((1, n_frames), confidence)
    return Latent(frames, torch.zeros(1, 0), Conditions(f0_hz=f0_hz[None].float(), confidence=sure))


@pytest.mark.parametrize("f0_hz", [82.4, 131.0, 196.0, 440.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_an_untrained_decoder_is_in_tune(f0_hz: float, seed: int) -> None:
    audio = autoencoder(seed=seed).decode(code(torch.full((FRAMES,), f0_hz), seed=seed))
    found = measure(audio[0].numpy(), RATE_HZ).value("f0_hz")
    assert found is not None
    assert 1200 * np.log2(found / f0_hz) == pytest.approx(0, abs=3)


def test_a_track_moves_the_pitch_of_the_same_code() -> None:
    track = 2 ** torch.linspace(7.0, 8.0, FRAMES)
    audio = autoencoder().decode(code(track))
    found, voiced = measure(audio[0].numpy(), RATE_HZ).track("f0_hz")
    middle = (np.arange(len(found)) + 0.5) * 0.01 * RATE_HZ / HOP - 0.5
    wanted = np.interp(middle, np.arange(FRAMES), track.numpy())
    assert voiced.mean() > 0.9
    assert np.abs(1200 * np.log2(found[voiced] / wanted[voiced]))[3:-3].max() < 20


def test_without_confidence_no_f0_is_heard_and_with_it_nothing_free() -> None:
    model = autoencoder()
    low, high = (model.decode(code(torch.full((FRAMES,), f), 0.0)) for f in (110.0, 880.0))
    assert torch.equal(low, high)
    assert low.abs().max() > 0
    nn.init.constant_(model.decoder.magnitude.bias, 2.0)
    sure = model.decode(code(torch.full((FRAMES,), 220.0)))
    assert sure.abs().max() < 0.2  # the free part would be far above 1


@pytest.mark.parametrize("channels", [1, 2])
def test_a_stream_is_the_whole_sound(channels: int) -> None:
    model = autoencoder(channels, noise=-6.0)
    track = 2 ** (7.5 + torch.sin(torch.linspace(0.0, 20.0, 300)))
    latent = code(track, 0.7)
    whole = model.decode(latent)[0].numpy()
    for taken, block_frames in ((7, 40), (300, 33), (100, 512)):
        blocks = [latent.cut(start, start + taken) for start in range(0, 300, taken)]
        streamed = np.concatenate(list(decode_stream(model, blocks, block_frames=block_frames)), 1)
        np.testing.assert_allclose(streamed, whole, atol=1e-4 * np.abs(whole).max())


def test_tracks_count_among_the_values_per_second() -> None:
    assert autoencoder().latent_values_per_second == pytest.approx(6 * RATE_HZ / HOP)
