"""Weights that change with the step. A schedule is a callable `step -> weight`."""

from collections.abc import Callable
from dataclasses import dataclass

Schedule = Callable[[int], float]


@dataclass(frozen=True, kw_only=True)
class Ramp:
    """A straight line from `start` at step 0 to `stop` at step `steps`, constant afterwards.

    >>> Ramp(start=0.0, stop=2.0, steps=10)(5)
    1.0
    """

    start: float
    stop: float
    steps: int

    def __call__(self, step: int) -> float:
        return self.start + (self.stop - self.start) * min(1.0, step / max(1, self.steps))
