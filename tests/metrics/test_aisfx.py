"""aiSFX's embedding: its front end against closed forms, its network where it is installed."""

import importlib.util

import numpy as np
import pytest
import torch

from timbrel.metrics import aisfx

RATE_HZ = 48_000

installed = pytest.mark.skipif(
    importlib.util.find_spec("aisfx") is None, reason="pip install --no-deps aisfx==0.1.2"
)


def tone(hertz: float, seconds: float = 1.0, rate_hz: int = RATE_HZ) -> np.ndarray:
    t = np.arange(int(seconds * rate_hz)) / rate_hz
    return (0.5 * np.sin(2 * np.pi * hertz * t)).astype(np.float32)


def band_of(hertz: float) -> int:
    """Of 96 on HTK's scale, 2595 log10(1 + f / 700), up to 22.05 kHz."""
    return round(97 * np.log10(1 + hertz / 700) / np.log10(1 + 22_050 / 700)) - 1


@pytest.mark.parametrize("hertz", [220.0, 1000.0, 8000.0])
def test_a_tone_is_loudest_in_its_band(hertz: float) -> None:
    heard = aisfx.spectrogram(torch.from_numpy(tone(hertz, rate_hz=44_100)))
    assert heard.shape == (44, 96)  # 43.07 hops
    assert abs(int(heard[20].argmax()) - band_of(hertz)) <= 1


def test_white_noise_is_its_power_in_every_band() -> None:
    """Weights sum to 1: each band holds the mean power of a bin, window energy times variance."""
    noise = 0.01 * torch.randn(100 * 1024, generator=torch.Generator().manual_seed(0))
    power = (10 ** (aisfx.spectrogram(noise) * 9.457798957824707) - 1) / 1e4
    expected = 0.01**2 * torch.hann_window(2048).square().sum()
    bands = power[2:-2, 10:].mean(0) / expected  # low bands are of few bins
    torch.testing.assert_close(bands, torch.ones_like(bands), rtol=0.3, atol=0)
    assert float(bands.mean()) == pytest.approx(1.0, abs=0.03)


def test_silence_is_zero() -> None:
    assert not aisfx.spectrogram(torch.zeros(5000)).any()


@installed
def test_level_does_not_count_and_sound_does() -> None:
    one = aisfx.embed(tone(440), RATE_HZ)
    assert one.shape == (aisfx.DIMENSIONS,)
    assert (one >= 0).all()
    assert one.any()
    np.testing.assert_allclose(aisfx.embed(0.1 * tone(440), RATE_HZ), one, atol=1e-4)
    np.testing.assert_allclose(aisfx.embed(np.stack([tone(440)] * 2), RATE_HZ), one, atol=1e-6)
    noise = np.random.default_rng(0).standard_normal(RATE_HZ).astype(np.float32)
    near = np.linalg.norm(aisfx.embed(tone(466), RATE_HZ) - one)
    assert 4 * near < np.linalg.norm(aisfx.embed(noise, RATE_HZ) - one)


@installed
@pytest.mark.parametrize("samples", [1, 480, RATE_HZ, 5 * RATE_HZ])
def test_every_length_is_finite(samples: int) -> None:
    for audio in (np.zeros(samples, np.float32), np.ones(samples, np.float32)):
        assert np.isfinite(aisfx.embed(audio, RATE_HZ)).all()


@installed
def test_a_long_sound_is_the_mean_of_its_blocks() -> None:
    """100 frames of 1024 samples at 44.1 kHz, 50 apart: of 3 blocks there are 200 frames."""
    noise = np.random.default_rng(1).standard_normal(200 * 1024).astype(np.float32)
    noise /= np.abs(noise).max()
    heard = aisfx.spectrogram(torch.from_numpy(noise))
    with torch.no_grad():
        rows = [aisfx._network()(heard[i : i + 100][None])[0].numpy() for i in (0, 50, 100)]
    np.testing.assert_allclose(aisfx.embed(noise, 44_100), np.mean(rows, axis=0), atol=1e-5)


def test_no_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="no sample"):
        aisfx.embed(np.zeros(0, np.float32), RATE_HZ)
