"""What controls do behind the decoder."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from timbrel.attributes.measurement import measure
from timbrel.generation.controls.apply import course_held, tilted

RATE_HZ, HOP = 48_000, 512
SECONDS = np.arange(2 * RATE_HZ) / RATE_HZ


def plucked() -> np.ndarray:
    """A partial of 200 Hz that falls by 20 dB/s, and one of 3.2 kHz that falls by 100 dB/s."""
    low = 10 ** (-SECONDS * 20 / 20) * np.sin(2 * np.pi * 200 * SECONDS)
    high = 10 ** (-SECONDS * 100 / 20) * np.sin(2 * np.pi * 3200 * SECONDS)
    return (0.2 * (low + high))[None].astype(np.float32)


def test_a_brighter_sound_falls_as_before() -> None:
    own = plucked()
    bright = tilted(own, RATE_HZ, 6.0)  # 24 dB between the partials
    held = (bright * course_held(own, bright, HOP)).astype(np.float32)

    def of(sound: np.ndarray, name: str) -> float:
        value = measure(sound, RATE_HZ).value(name)
        assert value is not None
        return value

    before = of(own, "decay_db_per_s")
    assert of(bright, "decay_db_per_s") > 1.5 * before
    assert of(held, "decay_db_per_s") == pytest.approx(before, rel=0.1)
    assert of(held, "log_centroid_octaves") > of(own, "log_centroid_octaves")


def test_gains_are_1_where_nothing_was_changed_or_heard() -> None:
    own = plucked()
    assert_allclose(course_held(own, own, HOP), 1.0)
    assert_allclose(course_held(own, 4 * own, HOP), 1.0, rtol=1e-6)  # the level is no course
    assert_allclose(course_held(np.zeros_like(own), own, HOP), 1.0)
    ends = own.copy()
    ends[:, RATE_HZ:] = 0.0
    assert_allclose(course_held(ends, 2 * ends, HOP), 1.0, rtol=1e-6)
