"""A training beside the one it repeats: what is the same, what is close, and what is not."""

import math
from pathlib import Path
from typing import Any

from timbrel.runs.folder import Curves, Run
from timbrel.runs.repetition import TOLERANCE, compare, matches, surroundings_differ, table

LOSS = [(1, 4.0), (2, 3.0), (3, 1.0)]


def run(curves: Curves, scores: dict[str, float] | None = None) -> Run:
    card: dict[str, Any] = {"metrics": scores or {}}
    return Run(Path("r"), "r", {}, (), {}, curves, card, None, Path("r"))


def test_equal_to_the_last_bit_but_for_the_clock() -> None:
    curves = {"train/loss": LOSS, "validation/loss": [(3, math.nan)], "train/elapsed_s": [(1, 0.5)]}
    again = {**curves, "train/elapsed_s": [(1, 0.75)]}
    rows = compare(
        run(curves, {"test_mrstft": 1.0}), run(again, {"test_mrstft": 1.0}), exactly=True
    )
    assert [(row.name, row.points, row.difference, row.matches) for row in rows] == [
        ("train/loss", 3, 0.0, True),
        ("validation/loss", 1, 0.0, True),
        ("score/test_mrstft", 1, 0.0, True),
    ]
    assert matches(rows)
    assert table(rows).splitlines()[-1] == "1 more are the same"


def test_one_bit_is_no_exact_match_but_within_the_tolerance() -> None:
    other = [(1, 4.0), (2, 3.0), (3, math.nextafter(1.0, 2.0))]
    pair = run({"train/loss": LOSS}), run({"train/loss": other})
    (row,) = compare(*pair, exactly=True)
    assert row.difference == (math.nextafter(1.0, 2.0) - 1.0) / 8.0
    assert not matches([row])
    assert "DIFFERS" in table([row])
    assert matches(compare(*pair, exactly=False))


def test_the_difference_is_a_share_of_the_curve() -> None:
    within = [(1, 4.0), (2, 3.0), (3, 1.0 + 8.0 * TOLERANCE)]
    beyond = [(1, 4.0), (2, 3.0), (3, 1.0 + 8.1 * TOLERANCE)]
    assert matches(compare(run({"train/loss": LOSS}), run({"train/loss": within}), exactly=False))
    assert not matches(
        compare(run({"train/loss": LOSS}), run({"train/loss": beyond}), exactly=False)
    )


def test_other_steps_and_missing_curves_are_no_match() -> None:
    for again in ({"train/loss": LOSS[:2]}, {}):
        (row,) = compare(run({"train/loss": LOSS}), run(again), exactly=False)
        assert math.isinf(row.difference)
        assert not matches([row])
        assert "other steps" in table([row])
    assert not matches([])


def test_on_another_machine_the_rest_is_told_and_not_judged() -> None:
    other = [(1, 1.0), (2, 9.0), (3, 1.0)]
    first, again = run({"train/kl": LOSS, "train/loss": LOSS}), {"train/kl": other}
    rows = compare(first, run({**again, "train/loss": LOSS}), exactly=False)
    assert matches(rows)
    assert table(rows).splitlines()[1].split()[:2] == ["train/kl", "3"]
    assert not matches(compare(first, run({**again, "train/loss": LOSS}), exactly=True))
    assert not matches(
        compare(run({}, {"test_mrstft": 1.0}), run({}, {"test_mrstft": 1.2}), exactly=False)
    )


def test_surroundings_that_may_change_a_bit() -> None:
    before = {
        "git_revision": "a",
        "python": "3.11.7",
        "platform": "Linux-1",
        "versions": {"torch": "2.10", "numpy": "2"},
        "device": {"accelerator": "cpu", "threads": 2},
    }
    assert surroundings_differ(before, {**before, "platform": "Linux-2"}) == []
    now = {**before, "git_revision": "b", "versions": {"torch": "2.11", "numpy": "2"}}
    assert surroundings_differ(before, {**now, "device": {"accelerator": "cpu", "threads": 1}}) == [
        "git revision b, was a",
        "torch 2.11, was 2.10",
        "threads 1, was 2",
    ]
    shared = {**before, "device": {**before["device"], "processes": 2}}
    assert surroundings_differ(
        shared, {**shared, "device": shared["device"] | {"processes": 1}}
    ) == ["processes 1, was 2"]
    del before["device"]  # a run of earlier has no such record
    assert "threads 2, was unknown" in surroundings_differ(
        before, {**before, "device": {"threads": 2}}
    )
