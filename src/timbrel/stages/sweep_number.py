"""The number that `timbrel train` hands to a sweeper, by the name in `objective=`.

validation/loss      the lowest held-out loss of the training
PART/SCORE           the mean of a score over the files of a part, as in summary.csv
gates/GATE           the value of a gate, as in gates.csv
"""

from collections.abc import Collection

from timbrel.analysis.evaluation import means_of
from timbrel.errors import UserError, did_you_mean
from timbrel.metrics.scores import RUN_SCORES, SCORES
from timbrel.stages.evaluation_run import Outcome

_LOSS = "validation/loss"
_GATES = "gates"
_PARTS = ("train", "validation", "test")


def check_objective(objective: str | None, *, channels: int) -> None:
    """Raise UserError where no training with `channels` channels has a number of that name."""
    if objective is None:
        return
    scores = [name for name, score in SCORES.items() if channels == 2 or not score.stereo]
    known = [f"{part}/{name}" for part in _PARTS for name in scores]
    known += [_LOSS, *(f"{_GATES}/{name}" for name in RUN_SCORES)]
    if objective not in known:
        raise UserError(
            f"objective={objective}: no such number{did_you_mean(objective, known)}; there are "
            f"{_LOSS}, PART/SCORE with PART of {', '.join(_PARTS)} and SCORE of "
            f"{', '.join(scores)}, and {_GATES}/GATE with GATE of {', '.join(RUN_SCORES)}"
        )


def part_of(objective: str | None, parts: Collection[str]) -> str | None:
    """The part whose scores `objective` asks for; None where it asks for none.

    `parts` are those that have files. Raises UserError where that part has none.
    """
    part = (objective or _GATES).partition("/")[0]
    if part == _GATES:
        return None
    if part not in parts:
        raise UserError(
            f"objective={objective}: no file is in the {part} part; name a number of "
            f"{' or '.join(parts)}"
        )
    return None if objective == _LOSS else part


def number(objective: str, outcome: Outcome, best_loss: float) -> float:
    """The number of that name; nan where it could not be measured."""
    part, _, name = objective.partition("/")
    if objective == _LOSS:
        return best_loss
    if part == _GATES:
        values = {gate.name: gate.value for gate in outcome.gates}
    else:
        values = means_of(outcome.summary, part)
    return values.get(name, float("nan"))
