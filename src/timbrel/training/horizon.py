"""How long a training is, and the learning rate that follows from it.

The learning rate rises over `warmup_steps`, holds, and falls to zero along a cosine that ends at
the horizon: the last step. With `max_steps` the horizon is given. With a time limit it is measured
once, when a twentieth of the time (or of `max_steps`, where both are given) has passed, and then
kept: a resumed run follows the same curve.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_MEASURED_SHARE = 0.05  # of the time limit, spent before the horizon is fixed
_MIN_MEASURED_STEPS = 10
_MARGIN = 0.97  # steps get slower when a machine warms up; better to end just before the limit


@dataclass(kw_only=True)
class Horizon:
    """Mutable on purpose: `clock` fixes it once. `state` goes into checkpoints."""

    max_steps: int | None = None
    max_time_s: float | None = None
    last_step: int | None = None
    fixed_at_step: int = 0
    elapsed_s: float = 0.0

    def __post_init__(self) -> None:
        if self.last_step is None and self.max_time_s is None:
            if self.max_steps is None:
                raise ValueError("a horizon needs max_steps or max_time_s")
            self.last_step = self.max_steps
            self.fixed_at_step = round(_MEASURED_SHARE * self.max_steps)

    def clock(self, step: int, elapsed_s: float) -> bool:
        """Tell the time after `step` steps; True when this call fixed the horizon."""
        self.elapsed_s = elapsed_s
        if self.last_step is not None or self.max_time_s is None:
            return False
        shares = [elapsed_s / self.max_time_s, step / (self.max_steps or math.inf)]
        if step < _MIN_MEASURED_STEPS or max(shares) < _MEASURED_SHARE:
            return False
        left_s = self.max_time_s - elapsed_s
        self.last_step = step + max(1, int(_MARGIN * left_s * step / elapsed_s))
        if self.max_steps is not None:
            self.last_step = max(step, min(self.last_step, self.max_steps))
        self.fixed_at_step = step
        return True

    def reached(self, step: int) -> bool:
        """Whether `step` steps are enough: the horizon, or a limit that comes before it."""
        late = self.max_time_s is not None and self.elapsed_s >= self.max_time_s
        limits = [limit for limit in (self.last_step, self.max_steps) if limit is not None]
        return late or any(step >= limit for limit in limits)

    def rate(self, step: int, warmup_steps: int) -> float:
        """Learning-rate factor of step `step` (counted from 0): 0...1.

        >>> horizon = Horizon(max_steps=100)
        >>> [round(horizon.rate(s, warmup_steps=4), 2) for s in (0, 3, 5, 52, 100)]
        [0.25, 1.0, 1.0, 0.51, 0.0]
        """
        warmup = min(1.0, (step + 1) / max(1, warmup_steps))
        if self.last_step is None or step <= self.fixed_at_step:
            return warmup
        span = max(1, self.last_step - self.fixed_at_step)
        progress = min(1.0, (step - self.fixed_at_step) / span)
        return warmup * 0.5 * (1.0 + math.cos(math.pi * progress))

    def left_s(self, step: int) -> float | None:
        """Seconds left at the pace so far; None before there is a pace or a horizon."""
        if self.last_step is None:
            return None if self.max_time_s is None else self.max_time_s - self.elapsed_s
        return None if step == 0 else self.elapsed_s / step * (self.last_step - step)

    def state(self) -> dict[str, int | float | None]:
        """What a checkpoint keeps."""
        return {
            "last_step": self.last_step,
            "fixed_at_step": self.fixed_at_step,
            "elapsed_s": self.elapsed_s,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore what `state` returned."""
        self.last_step = state["last_step"]
        self.fixed_at_step = state["fixed_at_step"]
        self.elapsed_s = state["elapsed_s"]
