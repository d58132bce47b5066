"""How far a sample is from its key: of bars as of tones, and a wrong octave stays wrong."""

import numpy as np
import pytest

from timbrel.attributes.measurement import measure
from timbrel.library.sampler import cents_from_key

RATE_HZ, KEY, KEY_HZ = 48_000, 60, 261.6256
TIME_S = np.arange(RATE_HZ) / RATE_HZ


def sound(hz: float, partials: dict[float, float]) -> np.ndarray:
    """A decaying sum of partials, given by ratio and amplitude."""
    tones = [
        amplitude * np.sin(2 * np.pi * hz * ratio * TIME_S + ratio)
        for ratio, amplitude in partials.items()
    ]
    return (0.2 * np.exp(-2 * TIME_S) * np.sum(tones, 0))[None].astype("f4")


@pytest.mark.parametrize("cents", [-30.0, 0.0, 45.0])
def test_a_bar_that_repeats_after_three_periods_is_as_high_as_its_lowest_partial(
    cents: float,
) -> None:
    bar = sound(KEY_HZ * 2 ** (cents / 1200), {1: 1.0, 2.67: 0.35, 5.34: 0.2})
    assert measure(bar, RATE_HZ).value("f0_hz") == pytest.approx(KEY_HZ / 3, rel=0.03)
    assert cents_from_key(bar, RATE_HZ, KEY) == pytest.approx(cents, abs=5)


@pytest.mark.parametrize("cents", [-2400.0, -1902.0, -1200.0, -700.0, 0.0, 20.0, 1200.0])
def test_a_tone_is_where_it_is(cents: float) -> None:
    tone = sound(KEY_HZ * 2 ** (cents / 1200), {k: 1 / k for k in range(1, 12)})
    assert cents_from_key(tone, RATE_HZ, KEY) == pytest.approx(cents, abs=3)


def test_noise_and_silence_have_no_distance_from_a_key() -> None:
    noise = np.random.default_rng(0).standard_normal((1, RATE_HZ)).astype("f4")
    assert cents_from_key(0.1 * noise, RATE_HZ, KEY) is None
    assert cents_from_key(0 * noise, RATE_HZ, KEY) is None
