"""The second judge of pitch: known notes, silence, stereo, and the package missing."""

import sys

import numpy as np
import pytest

from timbrel.attributes import swift_f0
from timbrel.errors import UserError
from timbrel.metrics.attributes import pitch_errors

RATE_HZ = 48_000
TIME_S = np.arange(RATE_HZ) / RATE_HZ


def note(f0_hz: float) -> np.ndarray:
    partials = [np.sin(2 * np.pi * f0_hz * k * TIME_S) / k for k in range(1, 11)]
    return (0.1 * np.sum(partials, 0))[None].astype(np.float32)


@pytest.mark.parametrize("f0_hz", [65.4, 110.0, 261.6, 880.0])
def test_notes_are_found_within_a_quarter_of_a_semitone(f0_hz: float) -> None:
    pytest.importorskip("swift_f0")
    track = swift_f0.swift_pitch(note(f0_hz), RATE_HZ)
    assert track.voiced.mean() > 0.8
    assert 1200 * np.log2(np.median(track.f0_hz[track.voiced]) / f0_hz) == pytest.approx(0, abs=25)


def test_it_judges_a_reconstruction() -> None:
    pytest.importorskip("swift_f0")
    wanted, moved = (swift_f0.swift_pitch(note(f), RATE_HZ) for f in (220.0, 187.5))
    assert pitch_errors(wanted, wanted)["pitch_accuracy"] == 1
    errors = pitch_errors(wanted, moved)
    assert errors["pitch_accuracy"] < 0.1
    assert errors["pitch_error_cents"] == pytest.approx(277, abs=25)


def test_antiphase_is_heard_and_silence_has_no_pitch() -> None:
    pytest.importorskip("swift_f0")
    assert swift_f0.swift_pitch(np.concatenate([note(220), -note(220)]), RATE_HZ).voiced.any()
    silent = swift_f0.swift_pitch(np.zeros((1, RATE_HZ), np.float32), RATE_HZ)
    assert not silent.voiced.any()
    assert pitch_errors(silent, silent) == {}


def test_without_the_package_it_says_how_to_get_it(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "swift_f0", None)
    swift_f0._detector.cache_clear()
    with pytest.raises(UserError, match=r"pip install 'timbrel\[swiftf0\]'"):
        swift_f0.swift_pitch(note(220), RATE_HZ)
