"""Targets of a config against their signatures: misspelled, missing, of another type."""

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from timbrel.config.targets import check_targets
from timbrel.errors import UserError


@dataclasses.dataclass(frozen=True)
class Part:
    """A target for the tests below."""

    width: int
    scale: float = 1.0
    mode: str | None = None
    inner: Any = None
    sizes: Sequence[int] = ()
    noise: Mapping[str, float] | None = None
    schedule: float | Callable[[int], float] = 0.0


HERE = f"{__name__}.Part"


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or _this_module())


def _this_module() -> Any:
    module = type(sys)(__name__)
    module.Part = Part  # type: ignore[attr-defined]
    return module


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"_target_": HERE, "widht": 1}, "a.widht: Part takes no 'widht'; did you mean 'width'?"),
        ({"_target_": HERE}, "a.width: not set, and Part needs it"),
        ({"_target_": HERE, "width": "x"}, "a.width=x: expected a whole number"),
        ({"_target_": HERE, "width": 1.5}, "a.width=1.5: expected a whole number"),
        ({"_target_": HERE, "width": True}, "a.width=true: expected a whole number"),
        ({"_target_": HERE, "width": 1, "mode": 3}, "a.mode=3: expected text or null"),
        ({"_target_": HERE, "width": 1, "sizes": 3}, "a.sizes=3: expected a list"),
        ({"_target_": HERE, "width": 1, "sizes": "ab"}, "a.sizes=ab: expected a list"),
        ({"_target_": HERE, "width": 1, "noise": 0.1}, "a.noise=0.1: expected a mapping or null"),
        (
            {"_target_": HERE, "width": 1, "noise": {"x": "y"}},
            "a.noise={x:y}: expected a mapping to a number or null",
        ),
        (
            {"_target_": HERE, "width": 1, "schedule": "up"},
            "a.schedule=up: expected a number or a mapping with a _target_",
        ),
        ({"_target_": f"{__name__}.Partt"}, "did you mean 'Part'?"),
        ({"_target_": "timbrel.nowhere.Thing"}, "no 'nowhere' in timbrel"),
        ({"_target_": "nowhere.Thing"}, "nowhere.Thing: no such module"),
        (
            {"_target_": HERE, "width": 1, "inner": {"b": [{"_target_": HERE, "scale": "y"}]}},
            "a.inner.b.0.scale=y: expected a number",
        ),
    ],
)
def test_targets_are_compared_with_their_signature(section, message):
    with pytest.raises(UserError) as caught:
        check_targets(section, "a")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "section",
    [
        {"_target_": HERE, "width": 1},
        {"_target_": HERE, "width": 1, "scale": 2, "mode": None, "inner": {"x": 1}},
        {"_target_": HERE, "width": 1, "sizes": [3], "noise": {"x": 1.0}, "schedule": 2},
        {"_target_": HERE, "width": 1, "noise": None, "schedule": {"_target_": HERE, "width": 1}},
        {"_target_": HERE, "_partial_": True},
        {"weights": {"kl": 1.0}},
        {},
    ],
)
def test_targets_that_fit(section):
    check_targets(section, "a")


def test_the_caller_may_provide_arguments():
    check_targets({"_target_": HERE}, "a", provided=["width"])
