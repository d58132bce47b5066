"""What joins a span that is drawn anew to the rest: its phase, and its audio."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from timbrel.dsp.phase import elapsed_periods
from timbrel.library.filled import _in_step, _spliced

FRAME_S = 512 / 48_000


def periods(octaves: np.ndarray) -> float:
    return float(elapsed_periods(torch.from_numpy(2 ** octaves[None]), FRAME_S)[0, -1])


@pytest.mark.parametrize("shift", [0.003, -0.01, 0.02])
def test_f0_leaves_the_span_in_the_phase_that_it_had(shift: float) -> None:
    own = np.full(60, np.log2(440.0))
    made = own.copy()
    made[10:40] += shift
    made[10:40] += _in_step(own, made, 10, 40, FRAME_S)
    apart = periods(made[:41]) - periods(own[:41])
    assert apart == pytest.approx(round(apart), abs=1e-6)
    assert np.abs(made - own).max() < abs(shift) + 0.5 / (440 * 30 * FRAME_S) * np.log2(np.e) + 1e-3


def test_a_span_too_short_to_be_brought_into_phase_keeps_its_pitch() -> None:
    own = np.full(20, np.log2(50.0))
    made = own.copy()
    made[5:7] += 0.5
    assert _in_step(own, made, 5, 7, FRAME_S) == 0


def test_audio_changes_over_within_the_fade_alone() -> None:
    before, changed = np.ones((2, 100), np.float32), np.zeros((2, 100), np.float32)
    made = _spliced(before, changed, start=20, stop=60, fade=10)
    assert_array_equal(made[:, :20], 1)
    assert_array_equal(made[:, 20:60], 0)
    assert_allclose(made[0, 60:70], np.arange(0.05, 1, 0.1), atol=1e-6)
    assert_array_equal(made[:, 70:], 1)


def test_a_sound_that_goes_on_is_that_from_the_span_on() -> None:
    before, changed = np.ones((1, 50), np.float32), np.zeros((1, 80), np.float32)
    made = _spliced(before, changed, start=20, stop=80, fade=10)
    assert made.shape == (1, 80)
    assert_array_equal(made[:, :20], 1)
    assert_array_equal(made[:, 20:], 0)
