"""An envelope within frames: what smearing took, and nothing where the level stays."""

import pytest
import torch
from numpy.testing import assert_allclose

from timbrel.dsp.stft import hann, istft, power, stft
from timbrel.models.temporal_envelope import TemporalEnvelope

RATE, WINDOW, HOP = 48_000, 2048, 512
FRAMES = 90


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def track(sound: torch.Tensor) -> torch.Tensor:
    """Levels of frames in dB, `(1, frame)`."""
    found = power(stft(sound[None], hann(WINDOW), HOP)).sum(1)
    return 10 * found.clamp_min(1e-12).log10() - 10 * found.amax().log10()


def played(levels: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """Noise whose frames have the levels of a track, overlap-added."""
    spectrum = stft(noise[None], hann(WINDOW), HOP)
    wanted = 10 ** (levels / 20)
    spectrum = spectrum * (wanted / power(spectrum).sum(1).sqrt())[:, None]
    return istft(spectrum, hann(WINDOW), HOP)[0]


def envelope(levels: torch.Tensor) -> torch.Tensor:
    return TemporalEnvelope(window=hann(WINDOW), hop_samples=HOP)(levels)[0, 0]


def level_db(sound: torch.Tensor) -> torch.Tensor:
    """Levels of 2 ms, beside the loudest 20 ms."""
    squares = sound.square()
    return 10 * (squares.view(-1, 96).mean(1) / squares.view(-1, 960).mean(1).amax()).log10()


@pytest.mark.parametrize("onset_s", [0.4, 0.4033, 0.4077])
def test_a_sound_begins_when_the_recording_does(onset_s, rng):
    time_s = torch.arange(FRAMES * HOP) / RATE
    noise = torch.randn(len(time_s), generator=rng)
    recording = noise * torch.where(time_s < onset_s, 0.0, torch.exp((onset_s - time_s) / 0.08))
    levels = track(recording)
    smeared = played(levels, torch.randn(len(time_s), generator=rng))
    shaped = smeared * envelope(levels)
    before = slice(int((onset_s - 0.012) * 500), int((onset_s - 0.004) * 500))
    assert level_db(smeared)[before].mean() > -10.0
    assert level_db(shaped)[before].mean() < -20.0
    loudest_s = level_db(shaped).view(-1, 5).mean(1).argmax() / 100  # of 10 ms each
    assert loudest_s == pytest.approx(onset_s, abs=0.011)


def test_a_steady_level_is_left_alone():
    levels = torch.full((2, FRAMES), -20.0)
    assert_allclose(envelope(levels)[3 * HOP : -3 * HOP], 1.0, atol=1e-6)


def test_silence_is_left_alone():
    levels = torch.full((1, FRAMES), -torch.inf)
    assert torch.isfinite(envelope(levels)).all()
    assert_allclose(envelope(levels)[3 * HOP : -3 * HOP], 1.0, atol=1e-6)


def test_a_sound_that_begins_in_full_is_not_softened(rng):
    """Nothing lies before the first frame: what its window does not hear is silence."""
    time_s = torch.arange(FRAMES * HOP) / RATE
    course = torch.exp(-time_s / 0.015)
    recording = course * torch.randn(FRAMES * HOP, generator=rng)
    levels = track(recording)
    smeared = played(levels, torch.randn(FRAMES * HOP, generator=rng))
    wanted, without, found = (
        10 * (sound[:480].square().sum() / sound.square().sum()).log10()
        for sound in (recording, smeared, smeared * envelope(levels))
    )
    assert found == pytest.approx(float(wanted), abs=1.0)
    assert without < wanted - 0.7


def test_a_frame_depends_on_its_context_alone(rng):
    levels = torch.randn(1, 200, generator=rng).cumsum(1) * 3 - 40
    shape = TemporalEnvelope(window=hann(WINDOW), hop_samples=HOP)
    whole, context = shape(levels), shape.context_frames
    part = shape(levels[:, 80 - context : 120 + context])
    inner = slice(context * HOP, -context * HOP)
    assert_allclose(part[..., inner], whole[..., 80 * HOP : 120 * HOP], atol=1e-5)


@pytest.mark.parametrize(
    ("window", "hop", "steps"), [(4096, 512, 8), (1024, 512, 8), (900, 300, 4)]
)
def test_any_window_and_hop(window: int, hop: int, steps: int) -> None:
    levels = torch.where(torch.arange(60) < 30, -60.0, -20.0)[None]
    shape = TemporalEnvelope(window=hann(window), hop_samples=hop)
    assert shape.log_steps(levels).shape == (1, 60, steps)
    found = shape(levels)[0, 0]
    assert found.shape == (60 * hop,)
    assert found[29 * hop : 30 * hop].mean() < 0.9 < found[35 * hop :].min()  # ahead of the rise
