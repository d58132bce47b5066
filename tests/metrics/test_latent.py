"""Use of a code: exact values of hand-made codes."""

import math
from itertools import pairwise

import numpy as np
import pytest

from signals import noise, sine
from timbrel.metrics.latent import (
    ACTIVE_VARIANCE,
    DecodeChange,
    active,
    active_units,
    nats_per_dimension,
    variances,
)

NONE = np.zeros((0, 0))


def test_active_units_of_hand_made_means() -> None:
    """Variances 1, just below, just above the threshold, and 0: two units are active."""
    swing = np.array([-1.0, 1.0, -1.0, 1.0])
    scales = [1.0, math.sqrt(ACTIVE_VARIANCE) * 0.999, math.sqrt(ACTIVE_VARIANCE) * 1.001, 0.0]
    means = swing[:, None] * scales + 5.0  # a constant is no information
    variance = variances(means, NONE)
    assert variance == pytest.approx(np.square(scales))
    assert active(variance).tolist() == [True, False, True, False]
    assert active_units(variance) == 2.0


def test_clip_codes_count_beside_frame_codes() -> None:
    variance = variances(np.zeros((9, 2)), np.array([[0.0, 3.0], [1.0, 3.0]]))
    assert variance.tolist() == [0.0, 0.0, 0.25, 0.0]
    assert active_units(variance) == 1.0


def test_one_row_tells_no_variance() -> None:
    assert np.isnan(variances(np.zeros((1, 3)), np.zeros((1, 2)))).all()
    assert math.isnan(active_units(variances(np.zeros((0, 3)), NONE)))
    assert active_units(variances(np.eye(2), np.zeros((1, 4)))) == 2.0


def test_nats_of_dimensions_sum_to_the_rate() -> None:
    rng = np.random.default_rng(0)
    frames, clips = rng.random((50, 4)), rng.random((5, 3))
    of_each = nats_per_dimension(frames, clips)
    assert of_each.shape == (7,)
    assert of_each[:4] == pytest.approx(frames.mean(0))
    assert of_each.sum() == pytest.approx((frames.sum() + clips.sum()) / 50)


def test_decode_change_of_a_perfect_and_of_a_deaf_decoder() -> None:
    sounds = [sine(440.0, 0.2), noise(0.2, seed=1), 0.1 * noise(0.3, seed=2)]
    perfect, deaf = DecodeChange(48_000), DecodeChange(48_000)
    for one, other in pairwise(sounds):
        perfect.add((one, other), (one, other))
        deaf.add((one, other), (sounds[0], sounds[0]))
    assert perfect.value == 1.0
    assert deaf.value == 0.0


def test_pairs_are_compared_over_the_shorter_sound() -> None:
    """A deaf decoder of two lengths is deaf all the same; what follows a sound's end is nothing."""
    change = DecodeChange(48_000)
    tone = sine(440.0, 0.3)
    change.add((noise(0.2, seed=1), noise(0.3, seed=2)), (tone[:9600], tone))
    assert change.value == 0.0


def test_equal_sounds_tell_nothing() -> None:
    change = DecodeChange(48_000)
    assert math.isnan(change.value)
    change.add((np.zeros(4800, np.float32),) * 2, (noise(0.1, seed=1), noise(0.1, seed=2)))
    assert math.isnan(change.value)
