"""Gates on sliders read the mapper: exact counts, limits that follow what the model holds."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from timbrel.analysis.gates import Gate, replace_gates, write_gates
from timbrel.analysis.slider_gates import slider_gates
from timbrel.analysis.sliders import is_broken
from timbrel.config.limits import DEFAULTS
from timbrel.generation.controls.mapper import Mapper, Slider
from timbrel.runs.folder import read_table

SCORES = {"smoothness": 0.75, "ends": 40, "broken_ends": 0}


def slider(axis: str, family: str, verdict: str = "ok", **scores) -> Slider:
    why = "" if verdict == "ok" else "why"
    made = Slider(axis, family, "dB", "operator", axis, (-1.0, 1.0), (-2.0, 2.0))
    return replace(made, verdict=verdict, why=why, scores=SCORES | scores)


LEVEL = replace(slider("level", "level", "dsp"), kind="gain", scores={})
PITCH, ATTACK = slider("pitch", "harmony"), slider("attack", "temporal", smoothness=0.25)
WEAK, LOST = slider("decay", "temporal", "weak"), slider("brightness", "timbre", "not held")


def gates(*sliders: Slider, **limits) -> dict[str, Gate]:
    mapper = Mapper({s.axis: s for s in sliders}, {}, {})
    return {gate.name: gate for gate in slider_gates(mapper, {**DEFAULTS, **limits})}


def test_as_many_sliders_are_asked_for_as_the_model_holds_families() -> None:
    found = gates(PITCH, ATTACK, WEAK, LOST, LEVEL)["sliders"]
    assert (found.value, found.limit, found.passed) == (2, 2, True)  # no attribute of timbre
    assert "pitch, attack; families that the model holds: harmony, temporal" in found.meaning
    missing = gates(PITCH, WEAK, LEVEL)["sliders"]
    assert (missing.value, missing.limit, missing.passed) == (1, 2, False)
    assert gates(PITCH, WEAK, LEVEL, sliders=1)["sliders"].passed
    off = gates(PITCH, sliders=None)["sliders"]
    assert (off.value, off.passed) == (1, None)
    assert "limits.sliders=null" in off.meaning


def test_the_smoothness_is_the_median_of_those_that_are_ok() -> None:
    found = gates(PITCH, ATTACK, replace(WEAK, scores=SCORES | {"smoothness": 0.0}), LEVEL)
    assert found["traversal_smoothness"].value == 0.5
    assert found["traversal_smoothness"].passed
    assert not gates(ATTACK)["traversal_smoothness"].passed
    assert gates(ATTACK, traversal_smoothness=0.2)["traversal_smoothness"].passed


def test_one_broken_render_fails_the_gate_and_is_named() -> None:
    found = gates(PITCH, slider("attack", "temporal", broken_ends=1), LEVEL)["slider_extremes"]
    assert (found.value, found.limit, found.passed) == (1 - 1 / 80, 1.0, False)
    assert "80 renders, 1 of attack" in found.meaning
    some = gates(PITCH, slider("attack", "temporal", broken_ends=1), slider_extremes=0.9)
    assert some["slider_extremes"].passed
    assert gates(PITCH, WEAK, LEVEL)["slider_extremes"].passed
    ignored = gates(PITCH, slider("attack", "temporal", "not held", broken_ends=9))
    assert ignored["slider_extremes"].passed  # such a control is refused


def test_a_model_without_sliders_and_an_older_analysis_are_not_judged() -> None:
    for gate in gates(LOST, LEVEL).values():
        assert gate.passed is None
        assert math.isnan(gate.value)
    older = replace(PITCH, scores={"smoothness": 0.75})
    assert "timbrel analyze is to be run again" in gates(older)["slider_extremes"].meaning


@pytest.mark.parametrize(
    ("own", "made", "broken"),
    [
        (0.5, 0.9, False),
        (0.5, 1.1, True),
        (1.5, 1.4, False),  # it lies above full scale by itself
        (1.5, 1.6, True),
        (0.5, 0.0, True),
        (0.0, 0.0, False),
        (0.5, np.nan, True),
        (0.5, np.inf, True),
    ],
)
def test_an_end_is_broken_where_it_is_silent_not_finite_or_too_loud(own, made, broken) -> None:
    sounds = (np.full((1, 8), level, np.float32) for level in (made, own))
    assert is_broken(*sounds) is broken


def test_rows_of_the_same_name_are_replaced_and_others_stay(tmp_path: Path) -> None:
    path = tmp_path / "gates.csv"
    kept = Gate("pitch", 0.123456789, math.nan, None, "a, b")
    write_gates(path, [kept, Gate("sliders", 1, 3, False, "too few")])
    before = path.read_text().splitlines()
    replace_gates(path, [Gate("sliders", 3, 3, True, "enough")])
    after = path.read_text().splitlines()
    assert after[:2] == before[:2]
    assert after[2:] == ["sliders,3,3,yes,enough"]
    assert [row["gate"] for row in read_table(path, ())] == ["pitch", "sliders"]
