"""How much of what sounds has a clear pitch."""

import numpy as np
import pytest

import signals
from timbrel.attributes.measurement import Measurement, measure_frames
from timbrel.data.chunks.conditions import voiced_share

RATE_HZ = 48_000


def sound(*parts: np.ndarray) -> Measurement:
    return measure_frames(np.concatenate(parts).astype(np.float32)[None], RATE_HZ)


def test_it_is_the_share_of_the_tone_among_tone_and_noise() -> None:
    tone, noise = signals.sine(220.0, 1.0), 0.1 * signals.noise(1.0, seed=0)
    assert voiced_share([sound(tone)]) > 0.98
    assert voiced_share([sound(noise)]) < 0.1
    assert voiced_share([sound(tone, noise)]) == pytest.approx(0.5, abs=0.1)
    assert voiced_share([sound(tone), sound(tone), sound(noise)]) == pytest.approx(0.67, abs=0.07)


def test_silence_is_neither() -> None:
    tone, silence = signals.sine(220.0, 0.5), np.zeros(RATE_HZ)
    assert voiced_share([sound(tone, silence)]) > 0.95
    assert voiced_share([sound(silence)]) == 0
    assert voiced_share([]) == 0


def test_a_faint_tail_counts_no_more_than_silence() -> None:
    tone, tail = signals.sine(220.0, 0.5), 1e-3 * signals.noise(2.0, seed=0)
    assert voiced_share([sound(tone, tail)]) > 0.9
