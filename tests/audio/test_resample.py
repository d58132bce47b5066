import numpy as np
import pytest

from signals import impulse, noise, sine
from timbrel.audio.resample import resample, resample_blocks, resampled_length

INSIDE = slice(4800, -4800)


def level_db(audio: np.ndarray) -> float:
    return 20 * float(np.log10(np.sqrt(np.mean(np.square(audio, dtype=np.float64)))))


@pytest.mark.parametrize("from_hz", [8_000, 44_100, 96_000])
def test_a_tone_keeps_its_level(from_hz: int) -> None:
    resampled = resample(sine(1000, 2, rate_hz=from_hz)[None], from_hz, 48_000)
    assert level_db(resampled[0, INSIDE]) == pytest.approx(level_db(sine(1000, 2)), abs=0.01)


def test_a_tone_is_the_tone_sampled_at_the_new_rate() -> None:
    resampled = resample(sine(1000, 1, rate_hz=44_100)[None], 44_100, 48_000)[0]
    assert level_db((resampled - sine(1000, 1))[INSIDE]) < -100


@pytest.mark.parametrize("frequency_hz", [25_000, 30_000, 47_000])
def test_what_lies_above_the_new_nyquist_is_gone(frequency_hz: float) -> None:
    tone = sine(frequency_hz, 2, rate_hz=96_000, amplitude=1.0)[None]
    assert level_db(resample(tone, 96_000, 48_000)[0, INSIDE]) < -100


def test_the_same_rate_passes_through() -> None:
    audio = noise(0.1)[None]
    assert resample(audio, 48_000, 48_000) is audio


@pytest.mark.parametrize("block_samples", [1, 333, 4096, 100_000])
@pytest.mark.parametrize(
    ("from_hz", "to_hz"), [(44_100, 48_000), (44_056, 48_000), (48_000, 8_000)]
)
def test_streamed_equals_whole(from_hz: int, to_hz: int, block_samples: int) -> None:
    duration_s = 0.05 if block_samples == 1 else 1.0
    audio = np.stack([noise(duration_s, seed=seed) for seed in (1, 2)])
    blocks = (audio.T[i : i + block_samples] for i in range(0, audio.shape[1], block_samples))
    streamed = np.concatenate(list(resample_blocks(blocks, from_hz, to_hz)))
    np.testing.assert_array_equal(streamed.T, resample(audio, from_hz, to_hz))


@pytest.mark.parametrize("n_samples", [1, 2, 3, 10, 240, 999, 1000, 1001])
@pytest.mark.parametrize(
    ("from_hz", "to_hz"), [(44_100, 48_000), (48_000, 44_100), (192_000, 48_000), (44_056, 48_000)]
)
def test_the_length_is_the_rounded_ratio(n_samples: int, from_hz: int, to_hz: int) -> None:
    assert resampled_length(n_samples, from_hz, to_hz) == int(n_samples * to_hz / from_hz + 0.5)
    resampled = resample(np.ones((2, n_samples), np.float32), from_hz, to_hz)
    assert resampled.shape == (2, resampled_length(n_samples, from_hz, to_hz))


def test_time_is_kept() -> None:
    """An impulse at 0.25 s is at 0.25 s afterwards: the filter's delay is taken out."""
    resampled = resample(impulse(0.5, at_s=0.25, rate_hz=96_000)[None], 96_000, 48_000)[0]
    assert int(np.abs(resampled).argmax()) == 12_000


def test_no_frames() -> None:
    assert resample(np.zeros((2, 0), np.float32), 44_100, 48_000).shape == (2, 0)
    assert list(resample_blocks(iter(()), 44_100, 48_000)) == []
