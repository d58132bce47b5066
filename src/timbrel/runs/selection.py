"""Which of a training's weights become the model."""

import math
from collections.abc import Sequence

_AS_GOOD = 0.01


def as_good(loss: float, lowest: float) -> bool:
    """Whether a held-out loss is at most 1 % above the lowest.

    So far it hangs on chance where few files are held out, and the later weights have learned more.

    >>> as_good(1.009, 1.0), as_good(1.02, 1.0), as_good(math.nan, 1.0), as_good(3.0, math.inf)
    (True, False, False, True)
    """
    if math.isinf(lowest):
        return math.isfinite(loss)
    return loss <= lowest + _AS_GOOD * abs(lowest)


def kept(curve: Sequence[tuple[int, float]]) -> tuple[int, float] | None:
    """The validation (step and loss) whose weights are kept; None where none has a finite loss.

    It is the last that is as good as the lowest until then.

    >>> kept([(10, 2.0), (20, 1.0), (30, 1.005), (40, 1.2)])
    (30, 1.005)
    """
    found, lowest = None, math.inf
    for step, loss in curve:
        if not math.isfinite(loss):
            continue
        if as_good(loss, lowest):
            found = step, loss
        lowest = min(lowest, loss)
    return found
