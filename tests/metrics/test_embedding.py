"""The embedding depends on timbre and modulation, not on level or order."""

import numpy as np
import pytest

from signals import noise, sine
from timbrel.metrics.embedding import BANDS, DIMENSIONS, RANGE_DB, embed, embed_all, whatever_width


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


def test_rates_are_respected_and_emptiness_refused() -> None:
    assert distance(noise(1.0), noise(1.0), 16_000) == 0.0
    with pytest.raises(ValueError, match="no sample"):
        embed(np.zeros((1, 0), np.float32), 48_000)


def test_two_equal_channels_lie_where_the_one_does() -> None:
    """And their side at the floor: below a mean level of 0 dB, RANGE_DB below the loudest cell."""
    one = noise(0.3) * np.linspace(1, 0, 14_400, dtype=np.float32)
    both = embed(np.stack([one, one]), 48_000)
    np.testing.assert_allclose(both[:DIMENSIONS], embed(one, 48_000), atol=1e-4)
    side = both[DIMENSIONS:]
    assert np.ptp(side[:BANDS]) < 1e-6
    assert not side[BANDS:].any()


def test_the_side_is_heard_and_can_be_left_out() -> None:
    """Lowered by 10 dB in every band: a distance of 10, and by its power nearly none without it."""
    mid, side = noise(1.0, seed=0), 0.1 * noise(1.0, seed=1)
    points = np.stack(
        [embed(np.stack([mid + gain * side, mid - gain * side]), 48_000) for gain in (1, 10**-0.5)]
    )
    assert points.shape == (2, 2 * DIMENSIONS)
    assert np.linalg.norm(points[0] - points[1]) == pytest.approx(10.0, abs=0.1)
    assert np.linalg.norm(whatever_width(points)[0] - whatever_width(points)[1]) < 0.1


def test_antiphase_is_no_silence() -> None:
    one = noise(0.3)
    points = [embed(np.stack([one, sign * one]), 48_000) for sign in (1, -1)]
    np.testing.assert_allclose(points[0][:DIMENSIONS], points[1][:DIMENSIONS], atol=1e-4)
    np.testing.assert_allclose(points[1][DIMENSIONS:], points[1][:DIMENSIONS], atol=1e-4)


def test_all_of_none_is_an_empty_table() -> None:
    assert embed_all([], 48_000).shape == (0, DIMENSIONS)
    assert embed_all([noise(0.1)] * 3, 48_000).shape == (3, DIMENSIONS)
