"""Controls as they are given: numbers, breakpoints, files, and what follows a recording."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from timbrel.config.bounds import value_problems
from timbrel.config.generate_sections import ControlsConfig
from timbrel.errors import UserError
from timbrel.generation.controls.curves import (
    Curve,
    curve_in_text,
    curve_of,
    read_curve,
    read_curves,
)
from timbrel.generation.controls.named import check_controls
from timbrel.paths import user_path

_FOLLOWING = ("follow", "looseness", "transpose")


@dataclass(frozen=True)
class Following:
    """A recording whose tracks a sound follows.

    `looseness` is 0 for every detail, 1 for the slow course alone. `transpose` is in semitones;
    None: by octaves into the range of the training recordings.
    """

    path: Path
    looseness: float = 0.0
    transpose: float | None = None


@dataclass(frozen=True)
class Controls:
    """What moves a sound, by the names of `mapper.CONTROLS` and `FAMILIES`, and what it follows."""

    moves: Mapping[str, float | Curve] = field(default_factory=dict)
    following: Following | None = None

    def as_metadata(self) -> dict[str, Any]:
        """The moves as JSON holds them."""
        return {
            name: value.as_list() if isinstance(value, Curve) else value
            for name, value in self.moves.items()
        }


def read_controls(given: Mapping[str, Any] | None) -> Controls:
    """What `given` says: each value a number, breakpoints, or the path of a file with them.

    Beside the controls by their names it takes `curves`, the path of a file with several, or a
    mapping; and `follow`, `looseness` and `transpose`. Raises UserError naming the key or the file
    for a control that is none, for one that is given twice, and for a value that it cannot have.
    """
    given = dict(given or {})
    following = _following({key: given.pop(key, None) for key in _FOLLOWING})
    several = _several(given.pop("curves", None))
    moves: dict[str, float | Curve] = {
        name: _value(name, value) for name, value in given.items() if value is not None
    }
    for name in several.keys() & moves.keys():
        raise UserError(f"controls.{name}: controls.curves has it as well; leave one out")
    moves |= several
    check_controls(moves)
    for name, value in moves.items():
        for one in value.values if isinstance(value, Curve) else ():
            for problem in value_problems(ControlsConfig, "controls.", **{name: one}):
                raise UserError(problem)
    return Controls(moves, following)


def _value(name: str, given: Any) -> float | Curve:
    key = f"controls.{name}"
    if isinstance(given, Curve):
        return given
    if isinstance(given, str | Path):
        text = str(given)
        if text.lstrip().startswith("["):
            return curve_in_text(text, key)
        return read_curve(user_path(text, key), key)
    if isinstance(given, list | tuple):
        return curve_of(given, key)
    return float(given)


def _several(given: Any) -> dict[str, Curve]:
    key = "controls.curves"
    if given is None:
        return {}
    if isinstance(given, Mapping):
        found = {str(k): curve_of(points, f"{key}: {k}") for k, points in given.items()}
    else:
        path = user_path(given, key)
        found, key = read_curves(path, key), f"{key}: '{path}'"
    try:
        check_controls(found)
    except UserError as error:
        raise UserError(f"{key}: {error}") from error
    return found


def _following(given: Mapping[str, Any]) -> Following | None:
    looseness, transpose = given["looseness"] or 0.0, given["transpose"]
    if given["follow"] is None:
        for key in ("looseness", "transpose"):
            if given[key] not in (None, 0.0, "auto"):
                raise UserError(f"controls.{key}={given[key]}: needs controls.follow=FILE")
        return None
    if transpose in (None, "auto"):
        transpose = None
    elif isinstance(transpose, str) or not math.isfinite(transpose):
        raise UserError(f"controls.transpose={transpose}: auto, or a number of semitones")
    path = user_path(given["follow"], "controls.follow")
    if not path.is_file():
        raise UserError(f"controls.follow={given['follow']}: no such file; name a recording")
    values = {"looseness": float(looseness)}
    values |= {} if transpose is None else {"transpose": float(transpose)}
    for problem in value_problems(ControlsConfig, "controls.", **values):
        raise UserError(problem)
    return Following(path, float(looseness), None if transpose is None else float(transpose))
