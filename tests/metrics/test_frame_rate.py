"""Lines at the frame rate: a hum is found, in tune or not, and a note in tune is none."""

import numpy as np
import pytest

from timbrel.metrics.frame_rate import frame_rate_lines_db

RATE_HZ = 48_000
FRAME_RATE_HZ = 93.75
TIME_S = np.arange(2 * RATE_HZ) / RATE_HZ


def tone(f0_hz: float, level: float = 0.1) -> np.ndarray:
    """Twenty partials with falling amplitude, phases dispersed."""
    partials = [np.sin(2 * np.pi * f0_hz * k * TIME_S + k * k) / k for k in range(1, 21)]
    return (level * np.sum(partials, 0)[None]).astype(np.float32)


def white(seed: int) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal((1, 2 * RATE_HZ)).astype(np.float32)


def lines_db(reference: np.ndarray, given: np.ndarray, frame_rate_hz: float = FRAME_RATE_HZ):
    return frame_rate_lines_db(reference, given, rate_hz=RATE_HZ, frame_rate_hz=frame_rate_hz)


@pytest.mark.parametrize("f0_hz", [110.0, 131.0, 196.0, 220.0, 261.6, 440.0])
def test_a_note_moved_to_the_frame_rate_is_all_lines_and_one_in_tune_has_none(f0_hz: float) -> None:
    moved = FRAME_RATE_HZ * round(f0_hz / FRAME_RATE_HZ)
    assert lines_db(tone(f0_hz), tone(moved)) > 8
    assert lines_db(tone(f0_hz), tone(f0_hz)) == 0
    # In tune without the recording's noise is in tune.
    assert lines_db(tone(f0_hz) + 0.1 * white(0), tone(f0_hz)) < 0.1


def test_a_note_that_lies_on_the_frame_rate_itself_is_no_hum() -> None:
    assert lines_db(tone(187.5), tone(187.5)) == 0


def test_noise_has_no_lines_and_a_buzz_in_its_place_has() -> None:
    assert lines_db(white(0), white(1)) < 0.5
    assert lines_db(white(0), tone(FRAME_RATE_HZ)) > 8


def test_a_louder_hum_under_a_note_counts_for_more() -> None:
    found = [lines_db(tone(220.0), tone(220.0) + tone(FRAME_RATE_HZ, x)) for x in (0.01, 0.03, 0.1)]
    assert found == sorted(found)
    assert found[0] < 1.5
    assert found[-1] > 3


@pytest.mark.parametrize("frame_rate_hz", [23.4375, 46.875, 187.5])
def test_other_frame_rates_are_resolved(frame_rate_hz: float) -> None:
    assert lines_db(white(0), tone(2 * frame_rate_hz), frame_rate_hz) > 4
    assert lines_db(white(0), white(1), frame_rate_hz) < 0.5


def test_what_is_silent_or_too_short_has_no_answer() -> None:
    silence = np.zeros_like(white(0))
    assert lines_db(silence, white(0)) is None
    assert lines_db(white(0), silence) is None
    assert lines_db(white(0)[:, :4800], white(1)[:, :4800]) is None  # 9.4 periods
    with pytest.raises(ValueError, match="frame rate"):
        lines_db(white(0), white(1), 0.0)


def test_a_short_answer_is_padded_and_channels_add() -> None:
    wide = np.concatenate([white(0), white(1)])
    assert lines_db(wide, np.concatenate([tone(FRAME_RATE_HZ)] * 2)) > 8
    assert lines_db(white(0), tone(FRAME_RATE_HZ)[:, :RATE_HZ]) > 7
