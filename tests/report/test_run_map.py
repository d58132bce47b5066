"""The page's map: each point where its code is, coloured by its attribute, with what it plays."""

import base64
import io
import re

import numpy as np
import pytest
import soundfile

from signals import noise
from timbrel.report import run_map
from timbrel.report.run_map import sound_map
from timbrel.report.run_report import write_run_report
from timbrel.runs.folder import read_run


def points(shown):
    return [values for tag, values in shown.tags if tag == "path" and "data-levels" in values]


def heard(address: str) -> np.ndarray:
    data = base64.b64decode(address.removeprefix("data:audio/flac;base64,"))
    audio, rate_hz = soundfile.read(io.BytesIO(data))
    assert rate_hz == 24_000
    return audio


def test_a_point_can_be_reached_named_and_played(analysed, page):
    shown = page(write_run_report(analysed))
    found = points(shown)
    assert len(found) == 5
    for i, point in enumerate(found):
        assert (point["tabindex"], point["role"]) == ("0", "button")
        assert point["aria-label"].startswith(f"<hit {i}> (")
        assert np.abs(heard(point["data-sound"]) - noise(0.1, seed=i)).max() < 1e-4
    assert "pitch 128 Hz" in found[1]["aria-label"]
    assert "brightness 512 Hz" in found[1]["aria-label"]
    assert "attack 10.0 ms" in found[1]["aria-label"]
    assert "5 sounds (2 training, 1 validation, 1 test, 1 new sound)" in shown.words
    assert "with 50% and 25% of their variance" in shown.words
    assert "5 of 5 play" in shown.words
    # One script, in the page, which listens for clicks and keys.
    assert [values for tag, values in shown.tags if tag == "script"] == [{}]
    for used in re.findall(r'getElementById\("([\w-]+)"\)', shown.html):
        assert shown.ids[used] == 1


def test_points_lie_by_their_places_and_show_their_values(analysed):
    made = sound_map(read_run(analysed))
    assert [colour.name for colour in made.colours] == [
        *("brightness", "pitch", "attack", "decay", "level"),
    ]  # no sound has an hnr
    levels = np.array(
        [[np.nan if x == "-" else float(x) for x in p.levels.split()] for p in made.points]
    )
    assert levels[:, 0] == pytest.approx([0, 2 / 9, 0.5, 7 / 9, 1], abs=1e-3)  # 5 to 95 %
    assert np.isfinite(levels[:, 1]).tolist() == [False, True, False, False, False]
    assert levels[:, 4] == pytest.approx(levels[::-1, 0])
    assert (made.points[0].fill, made.points[4].fill) == (made.palette[0], made.palette[-1])
    first = [float(x) for x in re.match(r"M([\d.]+) ([\d.]+)a", made.points[0].shape).groups()]
    last = [float(x) for x in re.match(r"M([\d.]+) ([\d.]+)l", made.points[4].shape).groups()]
    assert first[0] < last[0]
    assert first[1] < last[1]  # y falls, and the paper's runs downwards
    assert made.points[2].shape.count("h") == 2  # held out: a square
    assert made.colours[0].low.endswith("Hz")


def test_what_is_too_much_for_a_page_does_not_play(analysed, monkeypatch):
    size = len(sound_map(read_run(analysed)).points[0].sound)
    monkeypatch.setattr(run_map, "MOST_BYTES", round(3.5 * size))
    made = sound_map(read_run(analysed))
    assert [bool(point.sound) for point in made.points] == [True, False, True, False, True]
    assert "3 of 5 play" in made.hint


def test_without_an_analysis_the_page_says_how_to_get_the_map(silent_run, page):
    assert sound_map(read_run(silent_run)) is None
    assert "Sounds have not been placed yet" in page(write_run_report(silent_run)).words
