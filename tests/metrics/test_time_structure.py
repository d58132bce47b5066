"""Thirteen numbers of sounds whose physics is known, and two sets that differ in one of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signals import noise, sine
from timbrel.metrics.time_structure import (
    DESCRIPTORS,
    NEUTRAL,
    describe,
    describe_all,
    rebounds,
    standardised,
    time_distance,
)

RATE_HZ = 48_000


def hit(decay_db_per_s: float, seconds: float = 1.0, *, delay_s: float = 0.0, hz: float = 700.0):
    tone = sine(hz, seconds) * 10 ** (
        -decay_db_per_s / 20 * np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    )
    return np.pad(tone.astype(np.float32), (round(delay_s * RATE_HZ), 0))[None]


def named(sound: np.ndarray) -> dict[str, float]:
    values = describe(sound, RATE_HZ)
    return dict(zip((d.name for d in DESCRIPTORS), values, strict=True))


def test_an_exponential_decay_has_the_numbers_of_its_physics() -> None:
    found = named(hit(50.0, delay_s=0.25))
    assert 2 ** found["decay"] == pytest.approx(50.0, rel=0.02)
    assert 10 ** found["attack"] < 0.003
    assert 2 ** found["duration"] == pytest.approx(0.8, abs=0.04)  # 40 dB at 50 dB/s
    assert found["filled"] == pytest.approx(0.8 / 1.25, abs=0.04)
    assert found["onset"] == pytest.approx(0.25, abs=0.001)
    assert found["peak"] == pytest.approx(0.25, abs=0.002)
    assert found["onsets"] == 1
    assert found["end"] == pytest.approx(-47.5, abs=0.1)  # at 0.95 s of 1 s
    assert found["fall"] == pytest.approx(-5.0, abs=0.5)
    # The power e^(-2at) has its centre at 1 / (2a), a = 50 / 8.686 per s.
    assert 2 ** found["temporal_centroid"] == pytest.approx(8.686 / 100, rel=0.03)
    assert found["centroid_deviation"] < 0.1
    crest = named(sine(700.0, 1.0)[None])
    assert crest["crest"] == pytest.approx(3.01, abs=0.4)  # the high-pass hears the sudden start
    assert crest["decay"] == pytest.approx(0.0)
    assert crest["end"] == pytest.approx(0.0, abs=0.01)


def test_the_centroid_moves_as_the_sound_does() -> None:
    """A sine that glides by 2 octaves in a second."""
    time_s = np.arange(RATE_HZ) / RATE_HZ
    phase = 2 * np.pi * 500 * (4**time_s - 1) / np.log(4)
    found = named(0.5 * np.sin(phase).astype(np.float32)[None])
    assert found["centroid_slope"] == pytest.approx(2.0, abs=0.05)
    assert found["centroid_deviation"] == pytest.approx(2 / np.sqrt(12), abs=0.03)


def test_level_and_channels_do_not_count() -> None:
    quiet, wide = 0.1 * hit(80.0), np.concatenate([hit(80.0), hit(80.0)])
    np.testing.assert_allclose(describe(quiet, RATE_HZ), describe(hit(80.0), RATE_HZ), atol=0.02)
    np.testing.assert_allclose(describe(wide, RATE_HZ), describe(hit(80.0), RATE_HZ), atol=0.02)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 7, 100, 20_000])
def test_silence_is_neutral_and_tiny_sounds_are_finite(n: int) -> None:
    np.testing.assert_array_equal(describe(np.zeros((2, n), np.float32), RATE_HZ), NEUTRAL)
    for sound in (np.ones((1, n)), noise(1.0)[None, :n], np.full((1, n), np.nan)):
        assert np.isfinite(describe(sound.astype(np.float32), RATE_HZ)).all()
        assert rebounds(np.nan_to_num(sound), RATE_HZ) in (False, True)
    with pytest.raises(ValueError, match="channel, time"):
        describe(np.ones(10, np.float32), RATE_HZ)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-2, 2, width=32), min_size=1, max_size=3000))
def test_every_number_of_anything_is_finite(samples: list[float]) -> None:
    sound = np.array([samples], np.float32)
    assert np.isfinite(describe(sound, RATE_HZ)).all()
    assert not rebounds(0 * sound, RATE_HZ)


def test_two_sets_of_one_kind_are_near_and_sounds_without_an_end_far() -> None:
    rng = np.random.default_rng(0)
    decays = rng.uniform(40, 200, 40)
    hits = describe_all([hit(d, 0.4) for d in decays], RATE_HZ)
    blobs = describe_all([noise(0.4, seed=i)[None] for i in range(20)], RATE_HZ)
    assert abs(time_distance(hits[::2], hits[1::2]).value) < 6
    far = time_distance(hits[::2], blobs)
    assert far.value > 60
    assert (far.n_reference, far.n_generated) == (20, 20)
    # Shorter only.
    short = describe_all([hit(2 * d, 0.4) for d in decays[:20]], RATE_HZ)
    assert time_distance(hits[20:], short).value > 6
    same = np.repeat(hits[:1], 9, axis=0)
    assert time_distance(same, same).value == pytest.approx(0.0, abs=1e-9)
    assert describe_all([], RATE_HZ).shape == (0, 13)


def test_a_spread_is_robust_and_at_least_what_is_heard() -> None:
    reference = np.zeros((9, 13))
    reference[:, 0] = [*range(8), 1000]
    given = np.zeros((1, 13))
    given[0, 0], given[0, 6] = 4 + 1.4826 * 2, 0.02
    found = standardised(given, reference)[0]
    assert found[0] == pytest.approx(1.0)
    assert found[6] == 2.0  # 20 ms where recordings do not differ
    assert standardised(reference, reference).max() == 5.0


def test_a_rise_after_the_decay_is_a_rebound_and_a_steady_noise_is_none() -> None:
    single = hit(50.0, 2.0)
    assert not rebounds(single, RATE_HZ)
    assert not rebounds(noise(1.0)[None], RATE_HZ)
    assert not rebounds(sine(50.0, 1.0)[None], RATE_HZ)
    for rise_db, expected in ((3.0, False), (12.0, True)):
        later = single.copy()  # from 25 dB below the peak on
        later[:, RATE_HZ // 2 :] *= 10 ** (rise_db / 20)
        assert rebounds(later, RATE_HZ) is expected
    deep = single.copy()
    deep[:, RATE_HZ:] *= 10 ** (9 / 20)  # 50 dB below the peak, 41 after the rise
    assert not rebounds(deep, RATE_HZ)
