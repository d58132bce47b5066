"""How long a training is, and the learning rate that follows from it.

The learning rate rises over `warmup_steps`, holds, and falls to zero along a cosine that ends at
the horizon: the last step. With `max_steps` the horizon is given. With a time limit it is measured
whenever one of `SHARES` has passed, of the time or of the steps (given, or measured before), by the
pace since the measurement before. What is left of the cosine is then stretched or squeezed from
where it is, so that the rate never jumps. Every measurement is kept: a resumed run follows the same
curve.
"""

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

SHARES = (0.05, 0.15, 0.3, 0.5, 0.7, 0.85, 0.95)
"""Of the training, after which a horizon that hangs on time is measured."""

_MIN_MEASURED_STEPS = 10
_MARGIN = 0.97  # of the time left: steps get slower now and then; better to end before the limit


class Measured(NamedTuple):
    """After `step` steps and `elapsed_s` seconds: how many of `SHARES` have passed, and the end."""

    step: int
    elapsed_s: float
    passed: int
    last_step: int


@dataclass(kw_only=True)
class Horizon:
    """Mutable on purpose: `clock` measures it. `state` goes into checkpoints."""

    max_steps: int | None = None
    max_time_s: float | None = None
    measured: list[Measured] = field(default_factory=list)
    elapsed_s: float = 0.0
    repeats_steps: int | None = None
    """As many steps as a training took that this one repeats, whatever the clock says."""

    def __post_init__(self) -> None:
        if not self.measured and self.max_time_s is None:
            if self.max_steps is None:
                raise ValueError("a horizon needs max_steps or max_time_s")
            start = round(SHARES[0] * self.max_steps)
            self.measured = [Measured(start, 0.0, len(SHARES), self.max_steps)]

    @property
    def last_step(self) -> int | None:
        """The step at which training ends, as it was measured last; None before."""
        return self.measured[-1].last_step if self.measured else None

    def clock(self, step: int, elapsed_s: float) -> bool:
        """Tell the time after `step` steps; True when this call measured the horizon."""
        self.elapsed_s = elapsed_s
        if self.max_time_s is None or self.repeats_steps is not None:
            return False
        before = self.measured[-1] if self.measured else Measured(0, 0.0, 0, 0)
        passed, steps = self._passed(step, elapsed_s), step - before.step
        ended = self.last_step is not None and step >= self.last_step
        if passed <= before.passed or steps < _MIN_MEASURED_STEPS or ended:
            return False
        left_s = self.max_time_s - elapsed_s
        pace_s = max(elapsed_s - before.elapsed_s, 1e-9) / steps
        last_step = step + max(1, int(_MARGIN * left_s / pace_s))
        if self.max_steps is not None:
            last_step = max(step, min(last_step, self.max_steps))
        self.measured.append(Measured(step, elapsed_s, passed, last_step))
        return True

    def _passed(self, step: int, elapsed_s: float) -> int:
        """How many of `SHARES` lie behind, by the clock or by the steps, whichever is ahead."""
        steps = min(self.max_steps or math.inf, self.last_step or math.inf)
        return bisect_right(SHARES, max(elapsed_s / (self.max_time_s or math.inf), step / steps))

    def reached(self, step: int) -> bool:
        """Whether `step` steps are enough: the horizon, or a limit that comes before it."""
        if self.repeats_steps is not None:
            return step >= self.repeats_steps
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
        if not self.measured or step <= self.measured[0].step:
            return warmup
        return warmup * 0.5 * (1.0 + math.cos(math.pi * self._progress(step)))

    def _progress(self, step: int) -> float:
        """How much of the cosine lies behind: 0 where it begins, 1 at the horizon."""
        progress = 0.0
        for now, then in pairwise([*self.measured, None]):
            until = step if then is None else min(step, then.step)
            part = min(1.0, (until - now.step) / max(1, now.last_step - now.step))
            progress += (1.0 - progress) * part
            if until == step:
                break
        return progress

    def step_at(self, share: float) -> int | None:
        """The first step with `share` (0...1) of the training behind; None before that is known.

        Of a training that was measured once it is that share of its steps. Where a later
        measurement stretches or squeezes what is left, the shares that lie behind stay where they
        were.

        >>> Horizon(max_steps=11).step_at(0.5)
        6
        """
        if not self.measured:
            return None
        first = self.measured[0]
        # Nobody knew it before the first measurement.
        known = 0 if self.max_time_s is None else first.step
        step = math.ceil(share * first.last_step)
        behind = first.step / max(1, first.last_step)
        for now, then in pairwise(self.measured):
            if step <= then.step:
                break
            gone = (then.step - now.step) / max(1, now.last_step - now.step)
            behind += (1.0 - behind) * gone
            to_go = (share - behind) / (1.0 - behind)
            step = then.step + max(1, math.ceil(to_go * (then.last_step - then.step)))
        return max(step, known)

    def left_s(self, step: int) -> float | None:
        """Seconds left at the pace so far; None before there is a pace or a horizon."""
        if self.last_step is None:
            return None if self.max_time_s is None else self.max_time_s - self.elapsed_s
        return None if step == 0 else self.elapsed_s / step * (self.last_step - step)

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"measured": [list(item) for item in self.measured], "elapsed_s": self.elapsed_s}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore what `state` returned; what an older timbrel measured once stays as it is."""
        self.elapsed_s = state["elapsed_s"]
        if "measured" in state:
            self.measured = [Measured(*item) for item in state["measured"]]
        elif state["last_step"] is not None:
            start, last_step = state["fixed_at_step"], state["last_step"]
            self.measured = [Measured(start, self.elapsed_s, len(SHARES), last_step)]
