"""The harmonic tone: amplitudes, purity, peaks, glides, and a stream that goes on in phase."""

import numpy as np
import pytest
import torch

from timbrel.dsp.phase import elapsed_periods
from timbrel.models.excitation import Excitation

RATE_HZ, HOP = 48_000, 512


def tone(f0_hz: torch.Tensor, first_cycle: float | None = None, hop: int = HOP) -> np.ndarray:
    excitation = Excitation(sample_rate_hz=RATE_HZ, hop_samples=hop)
    cycle = None if first_cycle is None else torch.tensor([first_cycle])
    return excitation(f0_hz[None].float(), cycle)[0].numpy()


@pytest.mark.parametrize("hop", [512, 480, 511])
@pytest.mark.parametrize("f0_hz", [55.0, 220.0, 1234.5])
def test_every_harmonic_has_amplitude_one_and_nothing_lies_between(f0_hz: float, hop: int) -> None:
    audio = tone(torch.full((200,), f0_hz), hop=hop)
    assert len(audio) == 200 * hop
    window = np.blackman(len(audio))
    spectrum = np.abs(np.fft.rfft(audio * window)) / (window.sum() / 2)
    hz = np.fft.rfftfreq(len(audio), 1 / RATE_HZ)
    between = np.abs(hz % f0_hz - f0_hz / 2) < 0.4 * f0_hz
    assert spectrum[between].max() < 1e-3
    assert spectrum[hz > 0.46 * RATE_HZ].max() < 1e-3
    for harmonic in range(1, int(0.4 * RATE_HZ / f0_hz)):
        near = np.abs(hz - harmonic * f0_hz) < 0.2 * f0_hz
        found = np.sqrt((spectrum[near] ** 2).sum() / _spread(window))
        assert found == pytest.approx(1.0, abs=0.05), harmonic


def _spread(window: np.ndarray) -> float:
    """The power of a sine over its bins, relative to that of its peak at a bin's middle."""
    return float(len(window) * np.square(window).sum() / window.sum() ** 2)


@pytest.mark.parametrize("f0_hz", [40.0, 110.0, 440.0, 1760.0])
def test_it_does_not_peak(f0_hz: float) -> None:
    """Pulses in phase have a crest factor of sqrt(2 n): 13 for the 90 harmonics of 220 Hz."""
    audio = tone(torch.full((100,), f0_hz))
    assert np.abs(audio).max() / np.sqrt(np.square(audio).mean()) < 4


def test_a_glide_has_the_frequency_of_its_track() -> None:
    track = torch.linspace(100.0, 400.0, 200)
    excitation = Excitation(sample_rate_hz=RATE_HZ, hop_samples=HOP)
    excitation.tables = torch.sin(2 * torch.pi * torch.linspace(0, 1, 16_385)).expand(48, -1)
    audio = excitation(track[None])[0].numpy()
    crossings = np.flatnonzero((audio[:-1] < 0) & (audio[1:] >= 0))
    found = RATE_HZ / np.diff(crossings)
    middle = (crossings[1:] + crossings[:-1]) / 2 / HOP - 0.5  # in frames
    wanted = np.interp(middle, np.arange(200), track.numpy())
    assert np.abs(1200 * np.log2(found / wanted))[1:-1].max() < 25  # a sample's step in a period


def test_a_stream_goes_on_in_phase() -> None:
    track = 2 ** torch.linspace(6.0, 9.0, 120)
    whole = tone(track)
    cycle = float(elapsed_periods(track[None], HOP / RATE_HZ)[0, 70] % 1)
    later = tone(track[70:], cycle)
    np.testing.assert_allclose(later[HOP:], whole[71 * HOP :], atol=1e-3 * np.abs(whole).max())
    wrong = tone(track[70:], cycle + 0.25)
    assert np.abs(wrong[HOP:] - whole[71 * HOP :]).max() > 1


def test_absurd_tracks_are_finite() -> None:
    assert np.isfinite(tone(torch.tensor([0.0, 1e9, 20.0, 5e3]))).all()
