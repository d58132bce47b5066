"""Gates on what a listener notices first: judged beside the recordings' own range."""

import math

import numpy as np
import pytest

from timbrel.analysis.evaluation import FileScore
from timbrel.analysis.gates import Gate
from timbrel.analysis.held_gates import ERRORS, GATES, held_gates
from timbrel.config.limits import DEFAULTS
from timbrel.metrics.attributes import HELD


def row(part: str, *, system: str = "model", held: float = 0.0, **scores: float) -> FileScore:
    return FileScore(part, "a.wav", system, 1.0, scores, 1.0, dict.fromkeys(HELD, held))


def gates(rows: list[FileScore], **limits: float | None) -> dict[str, Gate]:
    found = held_gates(rows, "test", 93.75, {**DEFAULTS, **limits})
    return {gate.name: gate for gate in found}


def test_four_of_five_recordings_in_tune_pass_and_three_do_not() -> None:
    cents = [3.0, 10.0, 49.0, 50.0, 1200.0]
    passed = gates([row("test", pitch_error_cents=c) for c in cents])["pitch"]
    assert (passed.value, passed.passed) == (0.8, True)
    assert "5 recordings, median 49, 90 % below 740 cents" in passed.meaning
    failed = gates([row("test", pitch_error_cents=c) for c in [*cents[:3], 51.0, 1200.0]])["pitch"]
    assert (failed.value, failed.passed) == (0.6, False)
    assert "does not hold pitch" in failed.meaning


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_is_a_share_of_the_range_of_all_recordings(name: str) -> None:
    score, audible = ERRORS[name], HELD[ERRORS[name]].audible
    held = np.linspace(0, 10 * audible, 21)  # with the test's: 5 to 95 % is nine times audible
    rows = [row("train", held=value, **{score: 99.0}) for value in np.delete(held, 10)]
    share = 0.14
    rows += [row("test", held=held[10], **{score: share * 9 * audible})]
    gate = gates(rows)[name]
    assert gate.value == pytest.approx(share)
    assert gate.passed is True
    assert gates(rows, **{f"{name}_error": 0.13})[name].passed is False
    off = gates(rows, **{f"{name}_error": None})[name]
    assert off.passed is None


@pytest.mark.parametrize("name", ERRORS)
def test_recordings_that_are_all_alike_are_judged_by_what_is_audible(name: str) -> None:
    score, audible = ERRORS[name], HELD[ERRORS[name]].audible
    rows = [row("train", held=1.0), row("test", held=1.0, **{score: audible})]
    assert gates(rows)[name].value == pytest.approx(1.0)


def test_controls_and_other_parts_are_not_judged() -> None:
    rows = [
        row("test", pitch_error_cents=1.0, frame_rate_lines_db=1.0),
        row("test", system="noise", pitch_error_cents=900.0, frame_rate_lines_db=9.0),
        row("train", pitch_error_cents=900.0, frame_rate_lines_db=9.0),
    ]
    found = gates(rows)
    assert found["pitch"].value == 1.0
    assert found["frame_rate_lines"].value == 1.0


def test_a_hum_fails() -> None:
    found = gates([row("test", frame_rate_lines_db=db) for db in (2.0, 5.0)])["frame_rate_lines"]
    assert (found.value, found.passed) == (3.5, False)
    assert "93.75 Hz" in found.meaning


def test_where_nothing_was_measured_nothing_is_said() -> None:
    found = gates([row("test")])
    assert list(found) == list(GATES)
    assert all(gate.passed is None and math.isnan(gate.value) for gate in found.values())
    assert "no held-out recording is a note or a hit" in found["attack"].meaning
