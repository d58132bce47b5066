"""A training beside the one that it repeats: curves and scores, bit for bit or within a tolerance.

Pure: reads what `run_folder` read.

On the same kind of machine (the same versions, device, number format and threads) everything must
be the same, but for the clock. Elsewhere sums are rounded in another order, and a training makes of
that what it makes of any change of its weights; so there only `JUDGED` curves and the scores of the
compared part are judged, by `TOLERANCE`, and the rest is told.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from timbrel.runs.folder import Run
from timbrel.runs.summary import ELAPSED

TOLERANCE = 0.05
"""Of a curve or score: the sum of its differences, as a share of the sum of its absolute values."""

JUDGED = ("train/loss", "validation/loss")
"""The curves that are judged where the machine is another."""


@dataclass(frozen=True)
class Repeated:
    """One curve or score of both runs. `difference` is a share, 0 where every bit is the same."""

    name: str
    points: int
    difference: float
    """`inf` where one of the two lacks it, or has it at other steps."""
    judged: bool
    matches: bool


def surroundings_differ(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """A line for everything in which two records of `run.json` differ that may change a bit.

    >>> surroundings_differ({"python": "3.11.7"}, {"python": "3.12.1"})
    ['python 3.12.1, was 3.11.7']
    """
    pairs = [("git revision", before.get("git_revision"), now.get("git_revision"))]
    pairs.append(("python", before.get("python"), now.get("python")))
    for section in ("versions", "device"):
        old, new = before.get(section) or {}, now.get(section) or {}
        pairs += [(name, old.get(name), new.get(name)) for name in {**old, **new}]
    return [f"{name} {_told(new)}, was {_told(old)}" for name, old, new in pairs if old != new]


def compare(original: Run, again: Run, *, exactly: bool) -> list[Repeated]:
    """Every curve but the clock, then every mean score of the model."""
    curves = [
        _repeated(name, one, other, exactly, judged=name in JUDGED)
        for name, one, other in _both(original.curves, again.curves)
        if name != ELAPSED
    ]
    pairs = _both(_scores(original), _scores(again))
    return curves + [
        _repeated(name, one, other, exactly, judged=True) for name, one, other in pairs
    ]


def matches(rows: Sequence[Repeated]) -> bool:
    """Whether there is something to compare, and all that is judged is the same."""
    return bool(rows) and all(row.matches for row in rows if row.judged)


def table(rows: Sequence[Repeated]) -> str:
    """The judged rows and those that differ, a line each."""
    shown = [row for row in rows if row.name in JUDGED or not row.matches or row.difference]
    lines = [("", "points", "difference", "")]
    for row in shown:
        verdict = "" if not row.judged else "same" if row.matches else "DIFFERS"
        lines.append((row.name, str(row.points), _share(row.difference), verdict))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = [
        "  ".join(word.ljust(width) for word, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    equal = len(rows) - len(shown)
    return "\n".join([*text, *([f"{equal} more are the same"] if equal else [])]) + "\n"


def _repeated(
    name: str,
    one: Sequence[tuple[int, float]],
    other: Sequence[tuple[int, float]],
    exactly: bool,
    *,
    judged: bool,
) -> Repeated:
    difference = _difference(one, other)
    same = difference == 0.0 if exactly else difference <= TOLERANCE
    return Repeated(name, len(one), difference, judged or exactly, same)


def _difference(one: Sequence[tuple[int, float]], other: Sequence[tuple[int, float]]) -> float:
    if [step for step, _ in one] != [step for step, _ in other]:
        return math.inf
    pairs = [(x, y) for (_, x), (_, y) in zip(one, other, strict=True) if not _equal(x, y)]
    if not pairs:
        return 0.0
    size = math.fsum(abs(x) for _, x in one if math.isfinite(x))
    apart = sum(abs(x - y) for x, y in pairs)
    return apart / size if size and math.isfinite(apart) else math.inf


def _equal(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))


def _both(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for name in dict.fromkeys([*one, *other]):
        yield name, one.get(name, ()), other.get(name, ())


def _scores(run: Run) -> dict[str, list[tuple[int, float]]]:
    """Mean scores as curves of one point. An evaluation of later may have scored further parts."""
    metrics = run.card.get("metrics") or {}
    return {f"score/{name}": [(0, float(value))] for name, value in metrics.items()}


def _share(value: float) -> str:
    return "other steps" if math.isinf(value) else "0" if value == 0.0 else f"{value:.2g}"


def _told(value: Any) -> str:
    return "unknown" if value is None else str(value)
