"""Spaces: what is drawn, under which conditions, and where a config lies in it."""

import optuna
import pytest

from timbrel.errors import UserError
from timbrel.sweeps.search.goals import constraint, objectives
from timbrel.sweeps.search.space import Between, Choice, Draw, Space

NET = Draw("net", Choice(("conv", "linear")))
WIDTH = Draw("width", Between(8, 64, step=8), when=(("net", ("conv",)),))
DEEP = Space((NET, WIDTH, Draw("rate", Between(1e-4, 1e-1, log=True))))


def test_a_condition_decides_whether_a_key_is_drawn() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    found = [DEEP.drawn(study.ask()) for _ in range(40)]
    assert {values["net"] for values in found} == {"conv", "linear"}
    for values in found:
        assert ("width" in values) == (values["net"] == "conv")
        assert 1e-4 <= float(values["rate"]) <= 1e-1
        assert int(values.get("width", "8")) % 8 == 0
    below = sum(float(values["rate"]) < 10**-2.5 for values in found)
    assert 12 <= below <= 28  # half of them, where the logarithm is even


def test_a_number_is_written_so_that_it_reads_back_exactly() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    for _ in range(10):
        trial = study.ask()
        assert float(DEEP.drawn(trial)["rate"]) == trial.params["rate"]


@pytest.mark.parametrize(
    ("kind", "value", "position"),
    [
        (Choice(("8", "'a b'", "[4,2]")), 8, "8"),
        (Choice(("8", "'a b'", "[4,2]")), "a b", "'a b'"),
        (Choice(("8", "'a b'", "[4,2]")), [4, 2], "[4,2]"),
        (Choice(("8",)), 9, None),
        (Choice(("1e-09", "0.5")), 1e-9, "1e-09"),
        (Choice(("true", "null")), True, "true"),
        (Choice(("a: b: c",)), "a: b: c", "a: b: c"),
        (Between(0.5, 2.0), 2, 2.0),
        (Between(0.5, 2.0), 2.1, None),
        (Between(0.5, 2.0), None, None),
        (Between(0.5, 2.0), "high", None),
        (Between(0, 4), True, None),
        (Between(4, 64), 32.0, 32),
        (Between(4, 64), 32.5, None),
        (Between(4, 64, step=8), 20, 20),
        (Between(4, 64, step=8), 21, None),
    ],
)
def test_where_a_value_lies(kind, value, position) -> None:
    found = kind.position(value)
    assert (found, type(found)) == (position, type(position))


def test_the_configs_own_values() -> None:
    config = {"net": "conv", "width": 16, "rate": 2.0}
    assert DEEP.defaults(config) == ({"net": "conv", "width": 16}, ["rate"])
    assert DEEP.defaults({"net": "linear", "rate": 0.01}) == ({"net": "linear", "rate": 0.01}, [])


def test_an_example_meets_its_own_condition() -> None:
    assert DEEP.example(WIDTH) == {"net": "conv", "width": "8"}


def test_directions_follow_from_the_numbers() -> None:
    names = ["validation/mrstft", "validation/si_sdr_db", "gates/coverage", "model/parameters"]
    assert [o.direction for o in objectives(names)] == [
        "minimize",
        "maximize",
        "maximize",
        "minimize",
    ]
    assert objectives(["validation/loss"], ["maximize"])[0].direction == "maximize"


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: objectives(["test/mrstft"]), "must not select; take validation/mrstft"),
        (lambda: objectives(["validation/loss"], ["up"]), "'up' is no direction"),
        (lambda: objectives(["validation/loss"], ["minimize"] * 2), "2 for 1 objectives"),
        (lambda: objectives(["validation/loss"] * 2), "there twice"),
        (lambda: constraint("model/parameters < 2"), "is no constraint"),
        (lambda: constraint("model/parameters <= few"), "is no constraint"),
        (lambda: constraint("test/mrstft <= 2"), "must not select"),
        (lambda: objectives(["gates/pitch"]), "measured on test files"),
        (lambda: constraint("gates/active_units >= 2"), "measured on test files"),
    ],
)
def test_goals_that_cannot_be_meant(call, told: str) -> None:
    with pytest.raises(UserError, match=told):
        call()
