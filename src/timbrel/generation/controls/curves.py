"""Curves: controls that change over time, as breakpoints in a list or in a file."""

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from timbrel.errors import UserError

Array = NDArray[np.float64]

_WANTED = "give breakpoints [[seconds,value],[seconds,value],...]"


@dataclass(frozen=True)
class Curve:
    """A control over time: (seconds, value) pairs, joined by straight lines.

    The first value holds before its time, the last one behind its time.
    """

    points: tuple[tuple[float, float], ...]

    @property
    def values(self) -> tuple[float, ...]:
        """The value at every breakpoint."""
        return tuple(value for _, value in self.points)

    def at(self, seconds: Array) -> Array:
        """The value at each of `seconds`.

        >>> Curve(((1.0, 0.0), (2.0, 4.0))).at(np.array([0.0, 1.5, 9.0])).tolist()
        [0.0, 2.0, 4.0]
        """
        return np.interp(seconds, [second for second, _ in self.points], self.values)

    def as_list(self) -> list[list[float]]:
        """The breakpoints as JSON and YAML hold them."""
        return [[second, value] for second, value in self.points]


def curve_of(given: Any, where: str, *, lines: bool = False) -> Curve:
    """The curve of a list of pairs.

    `where` is the key or the file, for messages; with `lines` the pairs are the lines behind the
    first of a file. Raises UserError for what is no list of pairs of finite numbers whose times
    rise from 0 or later.
    """
    if not isinstance(given, list | tuple) or not given:
        found = "empty" if given in ([], (), None) else _shown(given)
        raise UserError(f"{where}: {found}; {_WANTED}")
    points: list[tuple[float, float]] = []
    for i, pair in enumerate(given):
        place = f"{where}: {f'line {i + 2}' if lines else f'breakpoint {i + 1}'}"
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise UserError(f"{place}: {_shown(pair)} is no pair of seconds and value")
        second, value = (_number(item, place) for item in pair)
        if second < 0 or (points and second <= points[-1][0]):
            raise UserError(f"{place}: at {second:g} s; times begin at 0 or later and rise")
        points.append((second, value))
    return Curve(tuple(points))


def read_curve(path: Path, where: str) -> Curve:
    """The curve in a CSV file with the header `seconds,value`, or in a YAML list of pairs.

    Raises UserError naming the file, and the line or the breakpoint, where it cannot be read.
    """
    name = f"{where}: '{path}'"
    if path.suffix.lower() != ".csv":
        return curve_of(_yaml(path, where), name)
    rows = list(csv.reader(_text(path, where).splitlines()))
    if not rows or [cell.strip() for cell in rows[0]] != ["seconds", "value"]:
        raise UserError(f"{name}: line 1: the header has to be seconds,value")
    return curve_of(rows[1:], name, lines=True)


def read_curves(path: Path, where: str) -> dict[str, Curve]:
    """The curves in a YAML mapping of controls to breakpoints. Raises UserError as `read_curve`."""
    given = _yaml(path, where)
    if not isinstance(given, Mapping) or not given:
        raise UserError(
            f"{where}: '{path}': no mapping; write a line NAME: [[seconds,value],...] for each "
            "control"
        )
    return {str(k): curve_of(pairs, f"{where}: '{path}': {k}") for k, pairs in given.items()}


def curve_in_text(text: str, where: str) -> Curve:
    """The curve that the command line gives as text, as [[0,0],[1,2]]. Raises UserError."""
    try:
        return curve_of(yaml.safe_load(text), where)
    except yaml.YAMLError as error:
        raise UserError(f"{where}={text}: not understood; {_WANTED}") from error


def _text(path: Path, where: str) -> str:
    try:
        return path.read_text("utf-8-sig")
    except FileNotFoundError as error:
        raise UserError(f"{where}: '{path}': no such file; name one, or {_WANTED}") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{where}: '{path}' cannot be read: {error}") from error


def _yaml(path: Path, where: str) -> Any:
    try:
        return yaml.safe_load(_text(path, where))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UserError(f"{where}: '{path}': line {line}: {error.problem or 'no YAML'}") from error
    except yaml.YAMLError as error:
        raise UserError(f"{where}: '{path}': no YAML: {error}") from error


def _number(item: Any, place: str) -> float:
    try:
        number = math.nan if isinstance(item, bool) else float(item)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise UserError(f"{place}: {_shown(item)} is no finite number")
    return number


def _shown(item: Any) -> str:
    return ",".join(map(str, item)) if isinstance(item, list | tuple) else str(item)
