"""The filterbank against librosa's, and the scale against its definition."""

import librosa
import numpy as np
import pytest
from numpy.testing import assert_allclose

from timbrel.dsp.mel import hz_to_mel, mel_filterbank, mel_to_hz


@pytest.mark.parametrize(
    ("rate_hz", "n_fft", "n_mels"),
    [
        (48_000, 2048, 128),
        (48_000, 1024, 80),
        (44_100, 2048, 64),
        (16_000, 512, 40),
        (8_000, 256, 13),
    ],
)
def test_equals_librosa(rate_hz: int, n_fft: int, n_mels: int) -> None:
    theirs = librosa.filters.mel(sr=rate_hz, n_fft=n_fft, n_mels=n_mels, norm="slaney", htk=False)
    ours = mel_filterbank(rate_hz, n_fft, n_mels)
    assert ours.dtype == np.float32
    assert_allclose(ours, theirs, atol=1e-6, rtol=1e-5)


def test_the_scale_is_inverted() -> None:
    hz = np.geomspace(1.0, 24_000.0, 500)
    assert_allclose(mel_to_hz(hz_to_mel(hz)), hz, rtol=1e-12)
    assert mel_to_hz(hz_to_mel(0.0)) == 0.0


def test_known_points_of_the_scale() -> None:
    assert_allclose(hz_to_mel([0.0, 200.0, 1000.0, 6400.0]), [0.0, 3.0, 15.0, 42.0], rtol=1e-12)
    assert (np.diff(hz_to_mel(np.linspace(0, 24_000, 10_000))) > 0).all()


def test_filters_have_unit_area() -> None:
    """Area over Hz, where bins lie dense enough to integrate by them."""
    n_fft = 1 << 16
    area = mel_filterbank(48_000, n_fft, 64).sum(1) * (48_000 / n_fft)
    assert_allclose(area, 1.0, rtol=1e-3)
