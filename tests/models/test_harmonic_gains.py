"""Gains by number: each harmonic gets its own, at every pitch, and none else."""

import math

import numpy as np
import pytest
import torch

from timbrel.dsp.stft import hann, istft, stft
from timbrel.models.excitation import Excitation
from timbrel.models.harmonic_gains import HarmonicGains

RATE_HZ, HOP, WINDOW, FRAMES = 48_000, 512, 2048, 94
BINS = WINDOW // 2 + 1


def gains(count: int, channels: int = 1) -> HarmonicGains:
    return HarmonicGains(1, channels=channels, count=count, bins=BINS, bin_hz=RATE_HZ / WINDOW)


@torch.no_grad()
def learn(made: HarmonicGains, nepers: list[float]) -> None:
    """Let the gains be these, whatever the features are."""
    made.gain.bias.fill_(1.0)
    of_one = made(torch.zeros(1, 1, 1), torch.full((1, 1), 1000.0))[0, 0, 0]
    made.gain.bias.copy_(torch.tensor(nepers) / of_one)


def amplitudes_db(made: HarmonicGains, f0_hz: float, count: int) -> np.ndarray:
    """Of the first `count` harmonics of a flat tone that went through `made`."""
    track = torch.full((1, FRAMES), f0_hz)
    tone = Excitation(sample_rate_hz=RATE_HZ, hop_samples=HOP)(track)
    window = hann(WINDOW)
    factor = made(torch.zeros(1, FRAMES, 1), track).exp().transpose(1, 2)
    heard = istft(stft(tone, window, HOP) * factor, window, HOP)[0].detach().numpy()
    heard = heard[RATE_HZ // 4 : RATE_HZ // 4 + RATE_HZ // 2]
    time = np.arange(len(heard)) / RATE_HZ
    wave = np.exp(-2j * np.pi * f0_hz * np.arange(1, count + 1)[:, None] * time)
    weight = np.hanning(len(heard))
    return 20 * np.log10(2 * np.abs((wave * weight * heard).sum(1)) / weight.sum())


@pytest.mark.parametrize("f0_hz", [110.0, 217.3, 440.0, 1234.5])
def test_even_harmonics_are_weak_at_every_pitch(f0_hz: float) -> None:
    made = gains(8)
    learn(made, [0.0, -2 * math.log(10)] * 4)
    found = amplitudes_db(made, f0_hz, 8)
    np.testing.assert_allclose(found[::2], 0.0, atol=0.5)
    np.testing.assert_allclose(found[1::2], -40.0, atol=1.5)


def test_harmonics_above_keep_their_level() -> None:
    made = gains(3)
    learn(made, [-2.0] * 3)
    found = amplitudes_db(made, 300.0, 6)
    np.testing.assert_allclose(found[:3], -2 * 20 / math.log(10), atol=0.5)
    np.testing.assert_allclose(found[3:], 0.0, atol=0.5)


def test_nothing_is_changed_before_something_is_learned() -> None:
    features, f0_hz = torch.randn(2, 5, 1), torch.full((2, 5), 100.0)
    assert torch.equal(gains(16)(features, f0_hz), torch.zeros(2, 5, BINS))


def test_every_channel_has_its_own() -> None:
    made = gains(2, channels=2)
    learn(made, [1.0, 2.0, 3.0, 4.0])
    f0_hz = torch.full((1, 1), 10 * made.bin_hz)
    left, right = made(torch.zeros(1, 1, 1), f0_hz).view(2, BINS)
    assert left[[0, 10, 20, 30]].tolist() == [1.0, 1.0, 2.0, 0.0]
    assert right[[0, 10, 20, 30]].tolist() == [3.0, 3.0, 4.0, 0.0]


def test_a_fundamental_of_zero_is_no_fault() -> None:
    made = gains(2)
    assert made(torch.zeros(1, 1, 1), torch.zeros(1, 1)).isfinite().all()
