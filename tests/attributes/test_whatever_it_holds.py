"""Measuring any recording gives a value or a mask, and never a warning."""

import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings

from attributes.hostile_sounds import sounds
from timbrel.attributes.envelope import attack_s, decay, peak_envelope
from timbrel.attributes.measurement import Measurement, measure, measure_frames
from timbrel.attributes.registry import CLIP_ATTRIBUTES, FRAME_ATTRIBUTES

# The same sounds in every run, and nothing kept between runs.
steady = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow],
)


def impulse(samples: int, at: int, amplitude: float = 1.0) -> np.ndarray:
    audio = np.zeros((1, samples), np.float32)
    audio[0, at] = amplitude
    return audio


@pytest.fixture(autouse=True)
def strict():
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        yield


def check(found: Measurement) -> None:
    confidence = found.clip_confidence
    assert ((confidence >= 0) & (confidence <= 1)).all()
    for attribute, value in zip(CLIP_ATTRIBUTES, found.clip_values, strict=True):
        assert np.float32(attribute.low) <= value <= np.float32(attribute.high), attribute.name
    for attribute, values in zip(FRAME_ATTRIBUTES, found.frame_values, strict=True):
        inside = (values >= np.float32(attribute.low)) & (values <= np.float32(attribute.high))
        assert inside.all(), attribute.name
    # What is undefined lies at the bottom of its range.
    lows = np.array([attribute.low for attribute in CLIP_ATTRIBUTES], np.float32)
    np.testing.assert_array_equal(found.clip_values[~found.clip_defined], lows[~found.clip_defined])


@steady
@given(sounds())
@example((impulse(4800, 4799), 48_000))
@example((impulse(4800, 0), 48_000))
@example((impulse(1, 0), 48_000))
@example((impulse(78, 40, 1e30), 8000))
@example((np.full((1, 5184), 3e38, np.float32), 22_050))
@example((np.full((2, 480), np.nan, np.float32), 48_000))
@example((np.full((1, 480), np.inf, np.float32), 48_000))
@example((np.zeros((1, 0), np.float32), 48_000))
def test_every_attribute_of_a_clip_and_of_its_frames_is_a_value_or_a_mask(sound):
    audio, rate_hz = sound
    check(measure(audio, rate_hz))
    check(measure(audio, rate_hz, from_start=False))
    check(measure_frames(audio, rate_hz))


@steady
@given(sounds())
def test_attack_and_decay_are_finite_on_any_envelope(sound):
    audio, rate_hz = sound
    audio = np.clip(audio, -1e6, 1e6)
    for from_start in (True, False):
        envelope = peak_envelope(audio, rate_hz, from_start=from_start)
        assert np.isfinite(envelope).all()
        rise_s = attack_s(envelope, rate_hz, from_start=from_start)
        assert rise_s is None or 1e-4 <= rise_s <= 10
        fall = decay(envelope, rate_hz)
        assert fall is None or (np.isfinite(fall.db_per_s) and 0 <= fall.confidence <= 1)


def test_what_is_louder_than_any_sound_counts_as_120_dbfs():
    loud = np.where(np.arange(4800) % 2, 1e30, -1e30).astype(np.float32)[None]
    limit = np.clip(loud, -1e6, 1e6)
    np.testing.assert_array_equal(
        measure(loud, 48_000).clip_values, measure(limit, 48_000).clip_values
    )
