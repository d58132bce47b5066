"""Which of a training's weights become the model."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

_OF_ONE = 0.055
"""How far the change of a recording's loss, between validations, lies from that of others."""
_UNTOLD = 30
"""Of a run that did not write their number down: it kept what lay within 1 %, as of so many."""


def as_good(loss: float, lowest: float, recordings: int) -> bool:
    """Whether the held-out loss of so many recordings is the lowest one but for chance.

    That is within a standard error of it, 5.5 % over the root of their number (the rule of Breiman
    et al. 1984, "Classification and regression trees", 3.4.3): less hangs on which recordings are
    held out, and the later weights have learned more.

    >>> as_good(1.01, 1.0, 16), as_good(1.02, 1.0, 16), as_good(1.05, 1.0, 1)
    (True, False, True)
    >>> as_good(math.nan, 1.0, 16), as_good(3.0, math.inf, 16)
    (False, True)
    """
    if math.isinf(lowest):
        return math.isfinite(loss)
    return loss <= lowest + _OF_ONE / math.sqrt(recordings) * abs(lowest)


@dataclass(frozen=True)
class HeldOutLoss:
    """A held-out loss at every validation, `(step, loss)`, and of how many recordings it is."""

    points: Sequence[tuple[int, float]] = ()
    recordings: int = _UNTOLD

    def kept(self) -> tuple[int, float] | None:
        """The validation whose weights are kept; None where none has a finite loss.

        It is the last that is as good as the lowest until then.

        >>> HeldOutLoss([(10, 2.0), (20, 1.0), (30, 1.005), (40, 1.2)]).kept()
        (30, 1.005)
        """
        found, lowest = None, math.inf
        for step, loss in self.points:
            if not math.isfinite(loss):
                continue
            if as_good(loss, lowest, self.recordings):
                found = step, loss
            lowest = min(lowest, loss)
        return found
