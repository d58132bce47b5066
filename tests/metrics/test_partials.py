"""Partials that are too loud or too soft cost what they are off; pitch and level cost nothing."""

import numpy as np
import pytest

from timbrel.attributes.measurement import measure
from timbrel.attributes.pitch import PitchTrack
from timbrel.metrics.attributes import measured_pitch
from timbrel.metrics.partials import partials_error_db

RATE_HZ, SECONDS, F0_HZ = 48_000, 1.0, 220.0


def note(levels_db: list[float], f0_hz: float = F0_HZ) -> np.ndarray:
    time = np.arange(int(SECONDS * RATE_HZ)) / RATE_HZ
    partials = [
        10 ** (level / 20) * np.sin(2 * np.pi * f0_hz * k * time + k)
        for k, level in enumerate(levels_db, 1)
    ]
    return (0.05 * np.sum(partials, axis=0, keepdims=True)).astype(np.float32)


FLAT = [0.0] * 12
WANTED = note(FLAT)


def error_db(
    given: np.ndarray, wanted: np.ndarray = WANTED, pitch: PitchTrack | None = None
) -> float:
    pitch = pitch or measured_pitch(measure(wanted, RATE_HZ))
    found = partials_error_db(wanted, given, pitch, rate_hz=RATE_HZ)
    assert found is not None
    return found


def test_the_same_has_none_at_any_level() -> None:
    assert error_db(WANTED) == 0
    assert error_db(0.01 * WANTED) == pytest.approx(0, abs=1e-3)


def test_soft_even_partials_cost_what_they_are_off() -> None:
    clarinet = [0.0, -30.0] * 6
    assert error_db(note(clarinet)) == pytest.approx(15.0, abs=0.3)
    assert error_db(WANTED, note(clarinet)) == pytest.approx(15.0, abs=0.3)


def test_one_of_twelve_counts_a_twelfth() -> None:
    assert error_db(note([0.0] * 4 + [-24.0] + [0.0] * 7)) == pytest.approx(2.0, abs=0.1)


def test_what_is_not_heard_counts_no_more() -> None:
    assert error_db(note([0.0, -90.0] * 6)) == pytest.approx(30.0, abs=1.0)


def test_a_detuned_note_has_its_timbre() -> None:
    cents = 2 ** (20 / 1200)
    assert error_db(note(FLAT, F0_HZ * cents)) == pytest.approx(0, abs=0.5)


def test_partials_above_the_band_do_not_count() -> None:
    high = 2600.0  # eight partials below 0.45 of the rate
    pitch = PitchTrack(np.full(100, high), np.ones(100))
    given = note([0.0] * 7 + [-16.0], high)
    assert error_db(given, note([0.0] * 8, high), pitch) == pytest.approx(2.0, abs=0.1)


def test_a_silent_reconstruction_has_lost_them() -> None:
    assert error_db(np.zeros_like(WANTED)) == pytest.approx(60.0, abs=0.5)


def test_without_a_pitch_there_is_none() -> None:
    pitch = PitchTrack(np.full(100, F0_HZ), np.zeros(100))
    assert partials_error_db(WANTED, WANTED, pitch, rate_hz=RATE_HZ) is None
