import math

import numpy as np
import pyloudnorm
import pytest

from signals import noise, sine
from timbrel.audio.level import (
    LoudnessMeter,
    SilenceMeter,
    TruePeakMeter,
    decibels,
    loudness_lufs,
    peak,
    silence_share,
    true_peak_dbtp,
)


def test_a_full_scale_1_khz_tone_is_at_minus_3_lufs() -> None:
    """BS.1770-4: a 997 Hz sine at 0 dBFS in one channel reads -3.01 LKFS."""
    tone = sine(997, 5, amplitude=1.0)[None]
    assert loudness_lufs(tone, 48_000) == pytest.approx(-3.01, abs=0.05)
    both = np.concatenate([tone, tone])
    assert loudness_lufs(both, 48_000) == pytest.approx(0.0, abs=0.05)


@pytest.mark.parametrize("rate_hz", [8_000, 44_056, 44_100, 48_000])
@pytest.mark.parametrize("duration_s", [0.45, 0.93, 3.0, 10.06])
def test_loudness_is_pyloudnorms(rate_hz: int, duration_s: float) -> None:
    frames = round(duration_s * rate_hz)
    fade = np.linspace(0.01, 1, frames, dtype=np.float32)
    audio = np.stack([noise(duration_s, seed=seed, rate_hz=rate_hz) * fade for seed in (1, 2)])
    reference = pyloudnorm.Meter(rate_hz).integrated_loudness(audio.T.astype(np.float64))
    assert loudness_lufs(audio, rate_hz) == pytest.approx(reference, abs=2e-3)


def test_loudness_streamed_equals_whole() -> None:
    audio = noise(2.0)[None]
    meter = LoudnessMeter(48_000, 1)
    for start in range(0, audio.shape[1], 777):
        meter.update(audio[:, start : start + 777])
    assert meter.lufs == pytest.approx(loudness_lufs(audio, 48_000), abs=1e-9)


def test_a_gap_of_silence_is_gated_out() -> None:
    tone = sine(997, 4)[None]
    gap = np.zeros((1, 48_000 * 8), np.float32)
    with_gap = loudness_lufs(np.concatenate([tone, gap, tone], axis=1), 48_000)
    assert with_gap == pytest.approx(loudness_lufs(tone, 48_000), abs=0.3)


def test_a_short_clip_is_measured_as_if_silence_followed() -> None:
    click = sine(997, 0.1)[None]
    padded = np.pad(click, ((0, 0), (0, round(0.3 * 48_000))))
    assert loudness_lufs(click, 48_000) == pytest.approx(loudness_lufs(padded, 48_000), abs=0.01)


def test_silence_and_nothing_are_minus_infinity() -> None:
    assert loudness_lufs(np.zeros((2, 48_000), np.float32), 48_000) == -math.inf
    assert loudness_lufs(np.zeros((1, 0), np.float32), 48_000) == -math.inf
    assert true_peak_dbtp(np.zeros((1, 480), np.float32)) == -math.inf
    assert decibels(0.0) == -math.inf


def test_the_lfe_of_5_1_does_not_count() -> None:
    silent = np.zeros((6, 48_000), np.float32)
    rumble = silent.copy()
    rumble[3] = sine(60, 1)
    assert loudness_lufs(rumble, 48_000) == -math.inf
    surround = silent.copy()
    surround[4] = sine(997, 1)
    front = loudness_lufs(sine(997, 1)[None], 48_000)
    assert loudness_lufs(surround, 48_000) - front == pytest.approx(10 * math.log10(1.41), abs=1e-6)


def test_the_true_peak_between_samples_is_found() -> None:
    """A sine at a quarter of the rate, sampled 45 degrees off its crests, reads 3.01 dB low."""
    time = np.arange(48_000)
    fade = np.minimum(1, np.minimum(time, time[::-1]) / 4800)
    tone = (0.5 * fade * np.sin(np.pi / 2 * time + np.pi / 4)).astype(np.float32)[None]
    assert decibels(peak(tone)) == pytest.approx(-9.03, abs=0.01)
    assert true_peak_dbtp(tone) == pytest.approx(-6.02, abs=0.01)


def test_the_true_peak_is_never_below_the_sample_peak() -> None:
    audio = noise(0.5, amplitude=0.9)[None]
    assert true_peak_dbtp(audio) >= decibels(peak(audio))


def test_the_true_peak_streamed_equals_whole_and_ends_its_meter() -> None:
    audio = np.stack([noise(0.5, seed=1), noise(0.5, seed=2)])
    meter = TruePeakMeter(2)
    for start in range(0, audio.shape[1], 1000):
        meter.update(audio[:, start : start + 1000])
    assert meter.dbtp == pytest.approx(true_peak_dbtp(audio), abs=1e-6)
    assert decibels(meter.peak) == meter.dbtp
    with pytest.raises(ValueError, match="new one"):
        meter.update(audio)


def test_the_share_of_silence() -> None:
    audio = np.concatenate([sine(440, 1), np.zeros(3 * 48_000, np.float32)])[None]
    assert silence_share(audio, 48_000) == 0.75
    meter = SilenceMeter(48_000)
    for start in range(0, audio.shape[1], 1234):
        meter.update(audio[:, start : start + 1234])
    assert meter.share == 0.75
    assert silence_share(sine(440, 1, amplitude=0.0009)[None], 48_000) == 1.0
    assert silence_share(sine(440, 1, amplitude=0.0012)[None], 48_000) == 0.0
