"""Curves as they are given: breakpoints in a list, a CSV or YAML file, and what is wrong in one."""

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from timbrel.errors import UserError
from timbrel.generation.controls.curves import Curve, curve_in_text, curve_of
from timbrel.generation.controls.given import read_controls

BEND = [[0.0, 0.0], [0.5, 1.2], [2.0, -1.0]]


def test_lines_are_straight_and_the_ends_are_held() -> None:
    curve = curve_of(BEND, "x")
    assert_allclose(
        curve.at(np.array([0.0, 0.25, 0.5, 1.25, 2.0, 9.0])), [0, 0.6, 1.2, 0.1, -1, -1]
    )
    assert curve_of([(1, 5)], "x").at(np.array([0.0, 3.0])).tolist() == [5.0, 5.0]
    assert curve.as_list() == BEND
    assert curve.values == (0.0, 1.2, -1.0)


def test_a_list_a_text_and_every_file_are_the_same_curve(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("seconds,value\n0,0\n0.5,1.2\n2,-1\n")
    (tmp_path / "b.csv").write_text("\ufeffseconds, value\r\n0,0\r\n0.5,1.2\r\n2,-1\r\n", "utf-8")
    (tmp_path / "a.yaml").write_text("- [0, 0]\n- [0.5, 1.2]\n- [2, -1]\n")
    (tmp_path / "all.yaml").write_text("brightness_octaves: [[0,0],[0.5,1.2],[2,-1]]\n")
    given = ["[[0,0],[0.5,1.2],[2,-1]]", BEND, [tuple(pair) for pair in BEND]]
    given += [tmp_path / name for name in ("a.csv", "b.csv", "a.yaml")]
    made = [read_controls({"brightness_octaves": one}) for one in given]
    made.append(read_controls({"curves": tmp_path / "all.yaml"}))
    made.append(read_controls({"curves": {"brightness_octaves": BEND}}))
    for one in made:
        assert one.moves == {"brightness_octaves": curve_of(BEND, "x")}
        assert one.as_metadata() == {"brightness_octaves": BEND}
        assert read_controls(one.as_metadata()) == one


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "key: empty; give breakpoints"),
        ("[1,2]", "key: breakpoint 1: 1 is no pair"),
        ("[[0,1],[1]]", "key: breakpoint 2: 1 is no pair"),
        ("[[0,1,2]]", "key: breakpoint 1: 0,1,2 is no pair"),
        ("[[0,1],[0,2]]", "key: breakpoint 2: at 0 s; times begin at 0 or later and rise"),
        ("[[-1,1]]", "key: breakpoint 1: at -1 s"),
        ("[[0,.nan]]", "key: breakpoint 1: nan is no finite number"),
        ("[[0,.inf]]", "key: breakpoint 1: inf is no finite number"),
        ("[[0,true]]", "key: breakpoint 1: True is no finite number"),
        ("[[0,loud]]", "key: breakpoint 1: loud is no finite number"),
        ("[[0,1]", "not understood"),
    ],
)
def test_what_is_wrong_in_a_list_is_told(text: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        curve_in_text(text, "key")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.csv", "", "line 1: the header has to be seconds,value"),
        ("x.csv", "0,1\n1,2\n", "line 1: the header has to be seconds,value"),
        ("x.csv", "seconds,value\n", "empty"),
        ("x.csv", "seconds,value\n0,1\n1\n", "line 3: 1 is no pair"),
        ("x.csv", "seconds,value\n0,1\n1,high\n", "line 3: high is no finite number"),
        ("x.csv", "seconds,value\n1,1\n0.5,1\n", "line 3: at 0.5 s; times"),
        ("x.csv", "seconds,value\n0,nan\n", "line 2: nan is no finite number"),
        ("x.yaml", "", "empty"),
        ("x.yaml", "- [0, 1]\n- [1\n", "line 3"),
        ("x.yaml", "a: 3\n", "give breakpoints"),
        ("x.bin", b"\xff\xfe\x00".decode("latin1"), ""),
    ],
)
def test_what_is_wrong_in_a_file_is_told_with_its_line(
    tmp_path: Path, name: str, content: str, said: str
) -> None:
    (tmp_path / name).write_text(content, "latin1")
    with pytest.raises(UserError) as caught:
        read_controls({"pitch_st": tmp_path / name})
    assert str(caught.value).startswith(f"controls.pitch_st: '{tmp_path / name}'")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"pitch_st": "nowhere.csv"}, "controls.pitch_st: 'nowhere.csv': no such file"),
        ({"pitch_st": [(0, 99)]}, "controls.pitch_st=99.0: between -48 and 48"),
        ({"pitch_hz": [(0, 100), (1, 0)]}, "controls.pitch_hz=0: above 0"),
        ({"timbre": [(0, 0), (1, 2)]}, "controls.timbre=2: between -1 and 1"),
        ({"curves": {"pich_st": BEND}}, "controls.curves: controls.pich_st: no such control"),
        ({"curves": {"pitch_st": 3}}, "controls.curves: pitch_st: 3; give breakpoints"),
        ({"curves": {"pitch_st": BEND}, "pitch_st": 1}, "controls.curves has it as well"),
        ({"looseness": 0.5}, "controls.looseness=0.5: needs controls.follow=FILE"),
        ({"transpose": 12}, "controls.transpose=12: needs controls.follow=FILE"),
        ({"follow": "nowhere.wav"}, "controls.follow=nowhere.wav: no such file"),
    ],
)
def test_what_cannot_be_is_told(given: dict, said: str) -> None:
    with pytest.raises(UserError) as caught:
        read_controls(given)
    assert said in str(caught.value)


def test_a_file_of_several_is_a_mapping_of_known_controls(tmp_path: Path) -> None:
    path = tmp_path / "gestures.yaml"
    path.write_text("pitch_st: [[0, 0], [1, 7]]\nlevel_db: [[0, -6]]\n")
    assert read_controls({"curves": path}).moves == {
        "pitch_st": Curve(((0.0, 0.0), (1.0, 7.0))),
        "level_db": Curve(((0.0, -6.0),)),
    }
    for text, said in (
        ("- [0, 1]\n", "no mapping"),
        ("pitch_st: [[0, 0], [0, 7]]\n", "gestures.yaml': pitch_st: breakpoint 2: at 0 s"),
        ("pich_st: [[0, 0]]\n", "gestures.yaml': controls.pich_st: no such control"),
    ):
        path.write_text(text)
        with pytest.raises(UserError, match=r"controls\.curves: '") as caught:
            read_controls({"curves": path})
        assert said in str(caught.value)


def test_what_is_followed_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "voice.wav"
    path.touch()
    following = read_controls({"follow": path, "looseness": 0.5, "transpose": -12}).following
    assert (following.path, following.looseness, following.transpose) == (path, 0.5, -12.0)
    assert read_controls({"follow": path, "transpose": "auto"}).following.transpose is None
    for wrong, said in (
        ({"looseness": 2.0}, "controls.looseness=2.0: between 0 and 1"),
        ({"transpose": "up"}, "controls.transpose=up: auto, or a number of semitones"),
        ({"transpose": 60.0}, "controls.transpose=60.0: between -48 and 48"),
    ):
        with pytest.raises(UserError) as caught:
            read_controls({"follow": path, **wrong})
        assert said in str(caught.value)
