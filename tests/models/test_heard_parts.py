"""The parts of a recording, of sounds whose parts are known."""

import math

import pytest
import torch

from timbrel.contracts import Conditions
from timbrel.dsp.stft import hann
from timbrel.models.heard_parts import HeardParts, heard_parts, smoothed, sounding, spectrum_power

RATE_HZ, HOP, WINDOW, FRAMES = 48_000, 512, 2048, 20
BIN_HZ = RATE_HZ / WINDOW
SCALLOPING = 0.17  # nepers that a peak between two bins of a Hann window loses, at most (1.4 dB)


def seconds() -> torch.Tensor:
    return torch.arange(FRAMES * HOP) / RATE_HZ


def parts_of(audio: torch.Tensor, f0_hz: float, confidence: float) -> HeardParts:
    tracks = Conditions(
        f0_hz=torch.full((1, FRAMES), f0_hz), confidence=torch.full((1, FRAMES), confidence)
    )
    powers = spectrum_power(audio.view(1, -1, FRAMES * HOP), hann(WINDOW), HOP)
    parts = heard_parts(powers, tracks, BIN_HZ)
    inner = slice(3, -3)  # the windows of the outermost frames reach into zeros
    return HeardParts(*(values[:, inner] for values in parts))


@pytest.mark.parametrize("f0_hz", [110.0, 261.6, 700.0])
def test_the_harmonic_part_goes_through_every_harmonic(f0_hz: float) -> None:
    numbers = range(1, int(0.4 * RATE_HZ / f0_hz))
    tone = sum(0.3 / n * torch.sin(2 * math.pi * n * f0_hz * seconds()) for n in numbers)
    harmonic = parts_of(tone, f0_hz, 1.0).harmonic[0, 5, 0]
    for n in list(numbers)[:64][:-1]:  # beyond the last the line falls
        found = float(harmonic[round(n * f0_hz / BIN_HZ)])
        assert found == pytest.approx(math.log(0.3 / n), abs=SCALLOPING + 0.05), n
    # Between two of them it lies between them, though the spectrum has a valley there.
    between = float(harmonic[round(10.5 * f0_hz / BIN_HZ)])
    assert math.log(0.3 / 11) - SCALLOPING < between < math.log(0.3 / 10) + 0.05


def test_the_noise_of_a_tone_is_what_lies_between_its_harmonics() -> None:
    rng = torch.Generator().manual_seed(0)
    noise = 1e-3 * torch.randn(FRAMES * HOP, generator=rng)
    tone = sum(0.1 * torch.sin(2 * math.pi * n * 700 * seconds()) for n in range(1, 25))
    level = parts_of(noise + tone, 700.0, 1.0).noise.mean()
    alone = parts_of(noise, 700.0, 0.0).noise.mean()
    assert float(level) == pytest.approx(float(alone), abs=0.3)


def test_noise_is_no_harmonic() -> None:
    """Where a tone has no harmonics left its peaks are those of the noise."""
    rng = torch.Generator().manual_seed(0)
    noise = 1e-2 * torch.randn(FRAMES * HOP, generator=rng)
    tone = sum(0.1 * torch.sin(2 * math.pi * n * 400 * seconds()) for n in range(1, 11))
    parts = parts_of(noise + tone, 400.0, 1.0)
    hz = torch.arange(parts.noise.shape[-1]) * BIN_HZ
    difference = (parts.harmonic - parts.noise)[0, :, 0]
    assert difference[:, (hz > 5000) & (hz < 15_000)].mean() < -1.0
    for n in range(1, 11):
        at = round(n * 400 / BIN_HZ)
        assert float(parts.harmonic[0, 5, 0, at]) == pytest.approx(
            math.log(0.1), abs=SCALLOPING + 0.1
        )


def test_without_a_pitch_a_sinusoid_is_free_and_noise_is_not() -> None:
    sine = 0.5 * torch.sin(2 * math.pi * 64 * BIN_HZ * seconds())
    rng = torch.Generator().manual_seed(0)
    noise = 0.01 * torch.randn(FRAMES * HOP, generator=rng)
    free = parts_of(sine + noise, 200.0, 0.0).free[0, :, 0]
    assert free[:, 64].mean() == pytest.approx(math.log(0.5), abs=0.05)
    power = lambda x: float((2 * x).exp().mean())  # noqa: E731
    of_noise = parts_of(noise, 200.0, 0.0)
    assert power(of_noise.free) < 0.1 * power(of_noise.noise)
    # With a pitch it is the harmonic part's.
    assert parts_of(sine, 64 * BIN_HZ, 1.0).free[0, 5, 0, 64] < math.log(0.5) - 2.5


def test_channels_have_their_own_levels() -> None:
    tone = 0.3 * torch.sin(2 * math.pi * 40 * BIN_HZ * seconds())
    both = parts_of(torch.stack([tone, 0.1 * tone]), 40 * BIN_HZ, 1.0)
    step = both.harmonic[0, :, 0, 40] - both.harmonic[0, :, 1, 40]
    torch.testing.assert_close(step, torch.full_like(step, math.log(10)), rtol=0, atol=1e-4)


def test_what_is_60_db_below_the_loudest_frame_does_not_sound() -> None:
    powers = torch.tensor([1.0, 2e-6, 0.5e-6, 0.0]).view(1, 4, 1, 1)
    level, loud = sounding(powers)
    assert loud.tolist() == [[1.0, 1.0, 0.0, 0.0]]
    assert float(level[0, 1]) == pytest.approx(0.5 * math.log(2e-6), abs=1e-5)
    assert sounding(torch.zeros(1, 2, 1, 3))[1].sum() == 0


def test_averages_keep_a_straight_line_and_go_on_at_the_ends() -> None:
    line = torch.arange(20.0)
    assert smoothed(line[None], 9)[0, 4:-4].tolist() == line[4:-4].tolist()
    assert float(smoothed(torch.ones(1, 20), 9).sub(1).abs().max()) < 1e-6
