"""The embedding hears timbre and modulation, and neither level nor order."""

import numpy as np
import pytest

from signals import noise, sine
from timbrel.metrics.embedding import BANDS, DIMENSIONS, RANGE_DB, embed, embed_all


def distance(one: np.ndarray, other: np.ndarray, rate_hz: int = 48_000) -> float:
    return float(np.linalg.norm(embed(one, rate_hz) - embed(other, rate_hz)))


def test_level_is_not_heard() -> None:
    sound = noise(0.5) + sine(440.0, 0.5)
    for gain in (0.1, 1e-6, 30.0):
        assert distance(sound, np.float32(gain) * sound) < 1e-3


def test_timbre_and_modulation_are() -> None:
    """In decibels per band: two noises of one kind lie close, a tone and a noise far apart."""
    same = distance(noise(1.0, seed=0), noise(1.0, seed=1))
    assert same < 0.6
    assert distance(noise(1.0), sine(440.0, 1.0)) > 20
    gate = (np.arange(48_000) // 4800 % 2).astype(np.float32)
    assert distance(noise(1.0), noise(1.0) * gate) > 10
    assert distance(sine(440.0, 1.0), sine(880.0, 1.0)) > 5


def test_a_band_lifted_by_decibels_moves_by_them() -> None:
    """Means are scaled so that a shift of all bands' means by 1 dB is a distance of 1."""
    row = embed(noise(2.0), 48_000)
    assert row.shape == (DIMENSIONS,)
    silent = embed(np.zeros((1, 5000), np.float32), 48_000)
    means = silent[:BANDS] * np.sqrt(BANDS)
    assert means == pytest.approx(-RANGE_DB)
    assert not silent[BANDS:].any()
    assert np.linalg.norm(silent) == pytest.approx(RANGE_DB)


def test_order_in_time_is_not_heard() -> None:
    hit = noise(0.512) * np.linspace(1, 0, 24_576, dtype=np.float32)
    assert distance(hit, hit[::-1].copy()) < 0.01  # the window is periodic, not symmetric


@pytest.mark.parametrize("samples", [1, 100, 2048, 5000])
def test_short_clips_have_a_place(samples: int) -> None:
    assert np.isfinite(embed(noise(1.0)[:samples], 48_000)).all()


def test_channels_are_mixed_and_rates_respected() -> None:
    left, right = noise(0.3, seed=0), noise(0.3, seed=1)
    both = embed(np.stack([left, right]), 48_000)
    np.testing.assert_allclose(both, embed((left + right) / 2, 48_000), atol=1e-4)
    assert distance(noise(1.0), noise(1.0), 16_000) == 0.0
    with pytest.raises(ValueError, match="no sample"):
        embed(np.zeros((1, 0), np.float32), 48_000)


def test_all_of_none_is_an_empty_table() -> None:
    assert embed_all([], 48_000).shape == (0, DIMENSIONS)
    assert embed_all([noise(0.1)] * 3, 48_000).shape == (3, DIMENSIONS)
