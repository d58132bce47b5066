"""Controls keep only the property of the file that they are named for."""

import numpy as np
import pytest
from scipy.signal import butter, sosfilt, welch

from signals import impulse, noise, sine
from timbrel.metrics.controls import matched_noise, silence
from timbrel.metrics.reconstruction import loudness_error_lu, mrstft


def _pink_hit(seconds: float = 4.0) -> np.ndarray:
    """Noise below 2 kHz, dying away: coloured, and not stationary."""
    hit = sosfilt(butter(2, 2000, fs=48_000, output="sos"), noise(seconds))
    return (hit * np.linspace(1, 0, len(hit)) ** 2).astype(np.float32)


def _third_octaves_db(signal: np.ndarray) -> np.ndarray:
    frequency_hz, density = welch(signal, 48_000, nperseg=8192)
    centres_hz = 1000 * 2 ** (np.arange(-12, 13) / 3)
    edges = [(f * 2 ** (-1 / 6), f * 2 ** (1 / 6)) for f in centres_hz]
    bands = [density[(frequency_hz >= low) & (frequency_hz < high)].sum() for low, high in edges]
    return 10 * np.log10(np.array(bands))


def test_matched_noise_has_the_third_octaves_of_the_reference() -> None:
    reference = _pink_hit(8.0)
    control = matched_noise(reference, np.random.default_rng(0))
    difference_db = _third_octaves_db(control) - _third_octaves_db(reference)
    assert abs(difference_db.mean()) < 0.5
    assert np.abs(difference_db).max() < 3.0  # the lowest bands hold few bins
    white = _third_octaves_db(noise(8.0)) - _third_octaves_db(reference)
    assert np.abs(white).max() > 20.0


@pytest.mark.parametrize("n", [1, 2, 3, 1000, 1001, 48_000])
def test_every_bin_and_the_level_are_the_references(n: int) -> None:
    reference = _pink_hit()[:n] + np.float32(0.05)
    control = matched_noise(reference, np.random.default_rng(1))
    assert control.shape == reference.shape
    assert control.dtype == np.float32
    np.testing.assert_allclose(
        np.abs(np.fft.rfft(control)), np.abs(np.fft.rfft(reference)), rtol=1e-3, atol=1e-4
    )
    rms = [np.sqrt(np.square(x, dtype=np.float64).mean()) for x in (control, reference)]
    assert rms[0] == pytest.approx(rms[1], rel=1e-6)


def test_matched_noise_knows_no_time() -> None:
    """An impulse becomes white noise, as loud in every tenth of the file."""
    control = matched_noise(impulse(1.0, at_s=0.5), np.random.default_rng(0))
    tenths = np.square(control.reshape(10, -1), dtype=np.float64).mean(1)
    assert tenths.max() / tenths.min() < 1.2


def test_matched_noise_of_noise_is_an_independent_noise() -> None:
    reference = noise(10.0)
    control = matched_noise(reference, np.random.default_rng(0))
    assert mrstft(reference, control) == pytest.approx(1.35, abs=0.02)
    assert abs(np.corrcoef(reference, control)[0, 1]) < 0.01
    assert loudness_error_lu(reference, control) < 0.1


def test_a_generator_gives_the_same_noise_and_moves_on() -> None:
    tone = sine(440.0, 0.2) + noise(0.2)
    rng = np.random.default_rng(3)
    first, second = matched_noise(tone, rng), matched_noise(tone, rng)
    np.testing.assert_array_equal(first, matched_noise(tone, np.random.default_rng(3)))
    assert np.abs(first - second).max() > 0.1


def test_silence_stays_silence() -> None:
    reference = sine(440.0, 0.1)
    assert silence(reference).shape == reference.shape
    assert not silence(reference).any()
    assert not matched_noise(silence(reference), np.random.default_rng(0)).any()
    with pytest.raises(ValueError, match="holds no sample"):
        matched_noise(np.zeros(0, np.float32), np.random.default_rng(0))
