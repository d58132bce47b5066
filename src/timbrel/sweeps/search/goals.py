"""What a search minimises or maximises, and what it must not exceed, by the names of numbers."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from timbrel.errors import UserError
from timbrel.metrics.scores import MODEL_SCORES, RUN_SCORES, SCORES

_GATES_OF_TEST_FILES = (
    *("pitch", "level", "brightness", "noisiness", "attack", "decay", "frame_rate_lines"),
    "ringing",
    *("kl_floor", "active_units", "decoder_listens", "clip_listens", "interpolation"),
)
"""Gates that test files have a part in, where a split has any."""

Direction = Literal["minimize", "maximize"]
_CONSTRAINT = re.compile(r"\s*(?P<name>[\w/]+)\s*(?P<sign><=|>=)\s*(?P<limit>\S+)\s*")


@dataclass(frozen=True)
class Objective:
    """A number and the direction to better."""

    name: str
    direction: Direction

    def better(self, value: float, other: float) -> bool:
        """Whether `value` is strictly the better one."""
        return value < other if self.direction == "minimize" else value > other


@dataclass(frozen=True)
class Constraint:
    """A number and the limit it has to keep."""

    name: str
    sign: str
    limit: float

    @property
    def text(self) -> str:
        """As it was written."""
        return f"{self.name} {self.sign} {self.limit:g}"

    def excess(self, value: float) -> float:
        """How far `value` lies beyond the limit; 0 or less where it keeps it.

        >>> constraint("model/parameters <= 1e6").excess(2_000_000)
        1000000.0
        >>> constraint("model/real_time >= 4").excess(10.0)
        -6.0
        """
        return value - self.limit if self.sign == "<=" else self.limit - value


def objectives(names: Sequence[str], directions: Sequence[str] = ()) -> tuple[Objective, ...]:
    """The objectives of those names, each with its own direction unless `directions` says so.

    Raises UserError for a test score, for an unknown direction or another count of them, and where
    neither direction of a number is better and none is given.
    """
    if directions and len(directions) != len(names):
        raise UserError(
            f"hydra.sweeper.direction: {len(directions)} for {len(names)} objectives; give one for "
            "each, or leave it out"
        )
    if len(set(names)) < len(names):
        raise UserError("hydra.sweeper.objectives: one is there twice")
    found = []
    for index, name in enumerate(names):
        _check_part("hydra.sweeper.objectives", name)
        given = directions[index] if directions else _own_direction(name)
        if given not in ("minimize", "maximize"):
            reason = f"'{given}' is no direction" if given else f"{name} has no better direction"
            raise UserError(f"hydra.sweeper.direction: {reason}; write minimize or maximize")
        found.append(Objective(name, given))  # type: ignore[arg-type]
    return tuple(found)


def constraint(text: str) -> Constraint:
    """The constraint that `text` states, such as `model/parameters <= 2e6`.

    Raises UserError where it states none.
    """
    where = "hydra.sweeper.constraints"
    match = _CONSTRAINT.fullmatch(text)
    try:
        limit = float(match["limit"]) if match else math.nan
    except ValueError:
        limit = math.nan
    if match is None or not math.isfinite(limit):
        raise UserError(
            f"{where}: '{text}' is no constraint; write NUMBER <= LIMIT or NUMBER >= LIMIT, such "
            "as 'model/parameters <= 2e6'"
        )
    _check_part(where, match["name"])
    return Constraint(match["name"], match["sign"], limit)


def _check_part(where: str, name: str) -> None:
    if name.startswith("test/"):
        raise UserError(
            f"{where}: {name}: test files report and must not select; take "
            f"validation/{name.removeprefix('test/')}"
        )
    if name.removeprefix("gates/") in _GATES_OF_TEST_FILES and name.startswith("gates/"):
        raise UserError(
            f"{where}: {name}: measured on test files, which must not select; take a score of "
            "validation/, or a gate of generated sounds such as gates/coverage"
        )


def _own_direction(name: str) -> str:
    part, _, score = name.partition("/")
    if name == "validation/loss":
        return "minimize"
    table = {"gates": RUN_SCORES, "model": MODEL_SCORES}.get(part, SCORES)
    better = table[score].better if score in table else None
    return {"lower": "minimize", "higher": "maximize", None: ""}[better]
