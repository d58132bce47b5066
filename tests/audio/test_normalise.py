"""Every file gets one level, by true peak or by loudness; silent files stay as they are."""

import numpy as np
import pytest

from signals import impulse, noise, sine
from timbrel.audio.level import loudness_lufs, true_peak_dbtp
from timbrel.audio.normalise import level_gain

RATE_HZ = 48_000


def normalised(audio: np.ndarray, how: str) -> np.ndarray:
    frames = np.atleast_2d(audio).T
    blocks = [frames[start : start + 10_000] for start in range(0, len(frames), 10_000)]
    gain = level_gain(lambda: blocks, rate_hz=RATE_HZ, channels=frames.shape[1], normalise=how)
    return frames.T * np.float32(gain)


@pytest.mark.parametrize("gain_db", [-90.0, -40.0, 0.0, 30.0])
@pytest.mark.parametrize("channels", [1, 2])
def test_the_true_peak_is_brought_to_the_ceiling(gain_db, channels):
    # Of a sine at a quarter of the rate the samples may lie 3 dB below the peak between them.
    audio = np.sin(np.pi / 2 * np.arange(RATE_HZ) + np.pi / 4).astype(np.float32)
    audio = np.stack([audio, 0.3 * audio][:channels]) * np.float32(10 ** (gain_db / 20))
    found = normalised(audio, "peak")
    assert true_peak_dbtp(found) == pytest.approx(-1.0, abs=0.01)


@pytest.mark.parametrize("gain_db", [-85.0, -40.0, 0.0])
def test_the_loudness_is_that_of_a_programme(gain_db):
    audio = sine(1000.0, 2.0) * np.float32(10 ** (gain_db / 20))
    assert loudness_lufs(normalised(audio, "loudness"), RATE_HZ) == pytest.approx(-23.0, abs=0.05)


@pytest.mark.parametrize("at_s", [0.0, 1.0])
def test_a_click_is_as_loud_as_its_peak_allows(at_s):
    click = impulse(3.0, at_s=at_s, amplitude=1e-3)
    found = normalised(click, "loudness")
    assert true_peak_dbtp(found) == pytest.approx(-1.0, abs=0.01)
    assert loudness_lufs(found, RATE_HZ) < -23


@pytest.mark.parametrize("how", ["none", "peak", "loudness"])
@pytest.mark.parametrize("level", [0.0, 1e-39, 0.5e-5])
def test_silence_is_left_alone(how, level):
    audio = noise(0.5, amplitude=level)
    np.testing.assert_array_equal(normalised(audio, how)[0], audio)


def test_none_reads_nothing_and_another_name_is_refused():
    assert level_gain(lambda: pytest.fail("read"), rate_hz=1, channels=1, normalise="none") == 1.0
    with pytest.raises(ValueError, match="rms"):
        level_gain(list, rate_hz=RATE_HZ, channels=1, normalise="rms")
