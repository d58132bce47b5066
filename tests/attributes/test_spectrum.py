"""Shape of the spectrum against closed forms and librosa; nothing of it depends on level."""

import numpy as np
import pytest

from attributes.synthetic import RATE_HZ, gaussian, seconds, tone
from signals import sine
from timbrel.attributes import spectrum
from timbrel.attributes.measurement import measure
from timbrel.attributes.spectrum import spectral_frames
from timbrel.audio.level import LoudnessMeter


def inner(values):
    """Frames whose window lies within the clip."""
    return values[4:-4]


def two_partials(low_hz, high_hz, ratio):
    time_s = seconds(0.5)
    return 0.3 * np.sin(2 * np.pi * low_hz * time_s) + 0.3 * ratio * np.sin(
        2 * np.pi * high_hz * time_s
    )


@pytest.mark.parametrize("ratio", [1.0, 0.5, 0.1])
def test_the_centroid_of_two_partials_is_their_weighted_mean(ratio):
    found = inner(spectral_frames(two_partials(500.0, 4000.0, ratio)[None], RATE_HZ).centroid_hz)
    expected = (500.0 + ratio**2 * 4000.0) / (1 + ratio**2)
    assert found == pytest.approx(expected, rel=1e-3)


def test_the_rolloff_lies_at_the_partial_that_holds_the_85_percent():
    # 0.8 of the power below, 0.2 above: the 85 % lie in the upper partial.
    upper = inner(spectral_frames(two_partials(500.0, 4000.0, 0.5)[None], RATE_HZ).rolloff_hz)
    assert upper == pytest.approx(4000.0, abs=24)
    lower = inner(spectral_frames(two_partials(500.0, 4000.0, 0.3)[None], RATE_HZ).rolloff_hz)
    assert lower == pytest.approx(500.0, abs=48)
    white = spectral_frames(gaussian(2.0)[None], RATE_HZ).rolloff_hz
    assert white.mean() == pytest.approx(0.85 * 24_000, rel=0.01)


def test_white_noise_is_as_flat_as_theory_has_it():
    found = inner(spectral_frames(gaussian(3.0)[None], RATE_HZ).flatness)
    assert found.mean() == pytest.approx(np.exp(-np.euler_gamma), rel=0.01)
    two = np.stack([gaussian(3.0), gaussian(3.0, seed=1)])
    assert inner(spectral_frames(two, RATE_HZ).flatness).mean() == pytest.approx(0.5615, rel=0.01)
    assert inner(spectral_frames(sine(1000.0, 0.5)[None], RATE_HZ).flatness).max() < 1e-4


def test_an_empty_band_above_16_khz_does_not_change_flatness():
    from scipy.signal import butter, sosfiltfilt

    signal = gaussian(2.0).astype(float)
    dull = sosfiltfilt(butter(20, 17_500, fs=RATE_HZ, output="sos"), signal)
    before, after = (spectral_frames(s[None], RATE_HZ).flatness.mean() for s in (signal, dull))
    assert after == pytest.approx(before, rel=0.02)


@pytest.mark.parametrize(("hz", "weight_db"), [(1000.0, 0.0), (100.0, -19.1), (10_000.0, -2.5)])
def test_the_level_of_a_sine_is_weighted(hz, weight_db):
    found = inner(spectral_frames(sine(hz, 0.3, amplitude=0.5)[None], RATE_HZ).level_a_db)
    assert found == pytest.approx(-9.03 + weight_db, abs=0.25)


@pytest.mark.parametrize("hz", [50.0, 1000.0, 10_000.0])
def test_the_k_weighted_level_is_that_of_a_loudness_meter(hz):
    signal = sine(hz, 1.0, amplitude=0.5).astype(np.float32)
    meter = LoudnessMeter(RATE_HZ, 1)
    meter.update(signal[None])
    found = inner(spectral_frames(signal[None], RATE_HZ).level_k_db)
    assert np.asarray(found).mean() - 0.691 == pytest.approx(meter.lufs, abs=0.2)


def test_antiphase_measures_as_mono_does():
    signal = tone(220.0, 0.3)
    mono = spectral_frames(signal[None], RATE_HZ)
    antiphase = spectral_frames(np.stack([signal, -signal]), RATE_HZ)
    for name in ("level_a_db", "level_k_db", "centroid_hz", "rolloff_hz", "flatness"):
        assert getattr(antiphase, name) == pytest.approx(getattr(mono, name), rel=1e-6)


def test_timbre_does_not_depend_on_level():
    signal = (tone(220.0, 0.5) + gaussian(0.5, rms=0.01)) * 10 ** (-20 * seconds(0.5) / 20)
    loud, soft = (measure((g * signal).astype(np.float32)[None], RATE_HZ) for g in (1.0, 1e-3))
    for name in ("f0_hz", "centroid_hz", "rolloff_hz", "flatness", "hnr_db", "log_attack_time"):
        assert soft.value(name) == pytest.approx(loud.value(name), rel=1e-3)
    assert soft.value("decay_db_per_s") == pytest.approx(loud.value("decay_db_per_s"), rel=1e-3)


def test_an_offset_is_no_sound():
    found = measure((sine(440.0, 0.5, amplitude=0.1) + 0.2).astype(np.float32)[None], RATE_HZ)
    assert found.value("f0_hz") == pytest.approx(440.0, rel=1e-3)
    assert found.value("centroid_hz") == pytest.approx(440.0, rel=0.02)


def test_librosa_agrees_on_the_same_spectra():
    librosa = pytest.importorskip("librosa")
    rng = np.random.default_rng(0)
    power = (np.square(rng.standard_normal((7, 1025))) + 1e-4) / (1 + np.arange(1025.0))
    bins_hz = np.fft.rfftfreq(2048, 1 / RATE_HZ)
    theirs = librosa.feature.spectral_centroid(S=power.T, sr=RATE_HZ, n_fft=2048)[0]
    assert spectrum.centroid_hz(power, bins_hz) == pytest.approx(theirs, rel=1e-9)
    theirs = librosa.feature.spectral_rolloff(S=power.T, sr=RATE_HZ, n_fft=2048)[0]
    assert spectrum.rolloff_hz(power, bins_hz) == pytest.approx(theirs, abs=12)
    inside = (bins_hz >= 250) & (bins_hz <= 16_000)
    theirs = librosa.feature.spectral_flatness(S=power[:, inside].T, power=1.0, amin=1e-30)[0]
    assert spectrum.flatness(power, bins_hz) == pytest.approx(theirs, rel=1e-6)
    theirs = librosa.A_weighting(bins_hz[1:], min_db=None)
    ours = 10 * np.log10(spectrum.a_weighting(bins_hz[1:]))
    assert ours == pytest.approx(theirs, abs=0.02)
