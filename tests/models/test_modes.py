"""Partials that are no harmonics: at their ratio of f0, of their level, and a ratio is learned."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from timbrel.attributes.measurement import measure
from timbrel.contracts import Conditions
from timbrel.dsp.stft import hann, istft
from timbrel.losses.reconstruction import SpectralLoss
from timbrel.models.harmonic import HarmonicDecoder
from timbrel.models.heard_parts import heard_parts, spectrum_power
from timbrel.models.modes import Modes

RATE_HZ, HOP, WINDOW, FRAMES = 48_000, 512, 2048, 94
BETWEEN = 15


def modes(channels: int = 1) -> Modes:
    made = Modes(
        1, between=BETWEEN, channels=channels, sample_rate_hz=RATE_HZ, window_samples=WINDOW,
        hop_samples=HOP,
    )  # fmt: skip
    torch.nn.init.zeros_(made.magnitude.weight)
    torch.nn.init.constant_(made.magnitude.bias, -30.0)
    return made


def only(made: Modes, ratio: float, amplitude: float) -> int:
    """Let the mode nearest to `ratio` sound alone; its number."""
    number = int((made.ratios - ratio).abs().argmin())
    with torch.no_grad():
        made.magnitude.bias[number] = math.log(amplitude)
    return number


def sound(
    made: Modes,
    f0_hz: Tensor,
    confidence: float = 1.0,
    hnr_db: float = 0.0,
    balance_db: float | None = None,
) -> Tensor:
    given = Conditions(
        f0_hz=f0_hz[None],
        confidence=torch.full((1, len(f0_hz)), confidence),
        hnr_db=torch.full((1, len(f0_hz)), hnr_db),
        balance_db=None if balance_db is None else torch.full((1, len(f0_hz)), balance_db),
    )
    features = torch.zeros(1, len(f0_hz), 1)
    tonal = torch.ones(1, len(f0_hz), made.channels)
    spectrum, _ = made(features, tonal, given, None)
    window = hann(WINDOW)
    spectrum = (window.sum() / 2 * spectrum).unflatten(2, (made.channels, made.bins))[0]
    return istft(spectrum.permute(1, 2, 0), window, HOP)


def test_they_lie_evenly_between_harmonics_and_none_is_one() -> None:
    ratios = modes().ratios
    assert ratios[:3].tolist() == [17 / 16, 18 / 16, 19 / 16]
    assert len(ratios) == 7 * BETWEEN
    assert not (ratios % 1 == 0).any()


@pytest.mark.parametrize("ratio", [1.5625, 2.75, 5.4375])
def test_a_mode_is_at_its_ratio_and_of_its_amplitude(ratio: float) -> None:
    made = modes()
    only(made, ratio, 0.25)
    audio = sound(made, 2 ** torch.linspace(7.0, 8.0, FRAMES)).detach()
    found, voiced = measure(audio.numpy(), RATE_HZ).track("f0_hz")
    frame = (np.arange(len(found)) + 0.5) * 0.01 * RATE_HZ / HOP - 0.5
    wanted = ratio * 2 ** np.interp(frame, np.arange(FRAMES), np.linspace(7.0, 8.0, FRAMES))
    assert voiced.all()
    assert np.abs(1200 * np.log2(found / wanted))[3:-3].max() < 4
    inner = audio[0, 2 * WINDOW : -2 * WINDOW]
    assert float(inner.square().mean().sqrt()) == pytest.approx(0.25 / math.sqrt(2), rel=0.01)


def test_channels_have_levels_of_their_own_and_no_confidence_is_silence() -> None:
    made = modes(channels=2)
    only(made, 2.5, 0.5)
    left, right = sound(made, torch.full((FRAMES,), 200.0))
    assert left.abs().max() > 0.49
    assert right.abs().max() < 1e-6
    assert sound(made, torch.full((FRAMES,), 200.0), confidence=0.0).abs().max() == 0


@pytest.mark.parametrize("hnr_db", [0.0, 10.0, 30.0])
def test_together_they_are_no_louder_than_what_does_not_repeat(hnr_db: float) -> None:
    made = modes()
    for ratio in (1.5, 2.25, 3.75, 4.5):
        only(made, ratio, 10.0)
    still = torch.full((FRAMES,), 200.0)
    found = sound(made, still, hnr_db=hnr_db)
    inner = found[0, 2 * WINDOW : -2 * WINDOW].detach()
    tone = 0.5  # the power of a sine of amplitude 1
    assert float(inner.square().mean()) == pytest.approx(tone * 10 ** (-hnr_db / 10), rel=0.02)
    breathier = sound(made, still, hnr_db=hnr_db - 9.0, balance_db=-9.0)
    torch.testing.assert_close(breathier, found)


def test_above_the_band_nothing_sounds() -> None:
    made = modes()
    only(made, 7.5, 1.0)
    assert sound(made, torch.full((FRAMES,), 2900.0)).abs().max() < 1e-6  # 21,750 Hz
    assert sound(made, torch.full((FRAMES,), 2800.0)).abs().max() > 0.9


def test_the_gradient_is_finite_where_modes_leave_the_band() -> None:
    made = modes()
    f0_hz = RATE_HZ / WINDOW * torch.arange(1025, 1029) / made.ratios[-1]  # on whole bins above it
    sound(made, f0_hz).square().sum().backward()
    assert all(x.grad is None or x.grad.isfinite().all() for x in made.parameters())


def test_a_ratio_is_learned_from_sound() -> None:
    """Of a free bar's second mode at 2.7565, from 2.75: by how fast the phase moves."""
    made = modes()
    number = only(made, 2.75, 0.5)
    time = torch.arange(FRAMES * HOP) / RATE_HZ
    target = 0.5 * torch.sin(2 * math.pi * 400.0 * 2.7565 * time)[None, None]
    loss = SpectralLoss(window_samples=[WINDOW], phase_window_samples=WINDOW)
    steps = torch.optim.Adam([made.move], lr=0.001)
    for _ in range(60):
        given = sound(made, torch.full((FRAMES,), 400.0))[None]
        steps.zero_grad()
        loss(given, target)["phase_advance"].sum().backward()
        steps.step()
    ratio = float(made.learned_ratios()[number].detach())
    assert 1200 * abs(math.log2(ratio / 2.7565)) < 1


@pytest.mark.parametrize("hnr_db", [0.0, 12.0])
def test_what_a_recording_has_of_them_is_found(hnr_db: float) -> None:
    made, f0_hz, time_s = modes(2), 260.0, torch.arange(FRAMES * HOP) / RATE_HZ
    harmonics, own = {1: 0.3, 2: 0.2, 3: 0.1}, {1.5: 0.05, 2.75: 0.02, 5.4375: 0.01}
    turns = 2 * math.pi * f0_hz * time_s
    tone = sum(a * torch.sin(k * turns) for k, a in (harmonics | own).items())
    noise = 1e-4 * torch.randn(len(time_s), generator=torch.Generator().manual_seed(0))
    audio = torch.stack([tone + noise, 0.1 * tone + noise])[None]
    given = Conditions(
        f0_hz=torch.full((1, FRAMES), f0_hz),
        confidence=torch.ones(1, FRAMES),
        hnr_db=torch.full((1, FRAMES), hnr_db),
    )
    heard = heard_parts(spectrum_power(audio, hann(WINDOW), HOP), given, RATE_HZ / WINDOW)
    found = made.values_for(heard.spectrum, heard.smooth, given).exp()
    tonal = math.sqrt(sum(a * a for a in harmonics.values()))
    for of_channel in found[0, FRAMES // 2].unflatten(0, (2, made.count)):
        for ratio, amplitude in own.items():
            number = int((made.ratios - ratio).abs().argmin())
            wanted = amplitude / tonal * 10 ** (hnr_db / 20)
            assert float(of_channel[number]) == pytest.approx(wanted, rel=0.2), ratio  # scalloping
            of_channel[number] = 0
        assert float(of_channel.max()) < 0.02  # nothing stands out from the noise elsewhere


def test_they_need_the_track_of_noisiness() -> None:
    with pytest.raises(ValueError, match="noisiness=true"):
        HarmonicDecoder(
            channels=1, latent_dim=4, clip_dim=0, sample_rate_hz=RATE_HZ, window_samples=WINDOW,
            hop_samples=HOP, width=8, blocks=1, kernel_frames=3, expansion=2, modes=3,
        )  # fmt: skip
