"""The limit of one number: key, default, direction, and the texts of its gate and alarm."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Limit:
    """The limit of one number, and the texts of its gate and its alarm.

    `held`, `broken` and `alarm` are the texts for a gate that passes, a gate that fails and an
    alarm that is raised; `{words}` in them are filled with measured values.
    """

    key: str
    default: float
    direction: Literal["above", "at_least", "at_most"]
    help: str
    title: str
    unit: str = ""
    better: Literal["lower", "higher"] | None = None
    """Which direction is better when runs are compared; None if neither is."""
    held: str
    broken: str
    attribute: str | None = None
    """What the page says that the model holds, or does not; None where it is another matter."""
    reads: str | None = None
    """The validation number that the alarm watches; None if there is no alarm."""
    alarm: str = ""
    """What to do while the training runs; `{step}` is the step of the lowest held-out loss."""

    def holds(self, value: float, limit: float) -> bool:
        """Whether `value` keeps `limit`; False if it is nan."""
        if self.direction == "above":
            return value > limit
        return value >= limit if self.direction == "at_least" else value <= limit
