"""Controllers: weights that adapt to the measured KL. A controller is a schedule that observes."""

import math
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Controller(Protocol):
    """`step -> weight` like a schedule; `observe` gets the KL of every training step."""

    def __call__(self, step: int, /) -> float: ...

    def observe(self, nats_per_frame: float) -> None: ...

    def state(self) -> dict[str, float]: ...

    def restore(self, state: dict[str, Any]) -> None: ...


class TargetRate:
    """A weight of a KL term that changes until the KL is `target_nats_per_frame`.

    Proportional and integral control of the logarithm of beta by the logarithm of KL over target
    (ControlVAE: Shao et al. 2020, section 3.2; multiplicative steps as in GECO: Rezende & Viola
    2018, algorithm 1). Differs: both parts act on log beta, so that beta stays positive and one
    gain fits every scale; the KL is averaged over some 1 / (1 - `smoothing`) steps; the error is
    limited to a factor of e^2 if the KL is too high, so that the first steps do not saturate the
    integral, and of e^4 if it is too low, so that beta falls within tens of steps before the
    posterior collapses.

    The KL is that of frame codes and clip code, per latent frame. Use it as the weight of a term
    that is the whole KL: `latent.weights.kl` (with a `+` where `kl` is only a diagnostic), or
    `latent.weights.floored_kl` (with a target above the floor). A part of the KL, such as
    `total_correlation`, may be near 0 while the KL is far from its target: then the weight rises to
    `highest`.

    >>> weight = TargetRate(target_nats_per_frame=10.0, start=1.0)
    >>> weight.observe(20.0)  # the KL is too high: the weight rises
    >>> weight(0) > 1.0
    True
    """

    def __init__(
        self,
        *,
        target_nats_per_frame: float,
        start: float = 1.0,
        lowest: float = 1e-3,
        highest: float = 1e4,
        gain: float = 0.02,
        proportional: float = 0.5,
        smoothing: float = 0.9,
    ) -> None:
        if target_nats_per_frame <= 0:
            raise ValueError(f"target_nats_per_frame={target_nats_per_frame}: above 0")
        if not 0 < lowest <= start <= highest:
            raise ValueError(
                f"lowest={lowest}, start={start}, highest={highest}: above 0, in this order"
            )
        if gain <= 0 or proportional < 0 or not 0 <= smoothing < 1:
            raise ValueError("gain: above 0; proportional: 0 or more; smoothing: from 0 to below 1")
        self.target = target_nats_per_frame
        self.limits = math.log(lowest), math.log(highest)
        self.gain, self.proportional, self.smoothing = gain, proportional, smoothing
        self.log_weight = math.log(start)
        self.log_rate: float | None = None  # averaged; None before the first observation

    def __call__(self, step: int) -> float:
        return math.exp(self._clamp(self.log_weight + self.proportional * self._error()))

    def observe(self, nats_per_frame: float) -> None:
        """Take in the KL of a step, in nats per latent frame."""
        found = math.log(max(nats_per_frame, 1e-6))
        before = found if self.log_rate is None else self.log_rate
        self.log_rate = self.smoothing * before + (1.0 - self.smoothing) * found
        self.log_weight = self._clamp(self.log_weight + self.gain * self._error())

    def state(self) -> dict[str, float]:
        """What a checkpoint keeps."""
        known = {} if self.log_rate is None else {"log_rate": self.log_rate}
        return {"log_weight": self.log_weight, **known}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.log_weight = state["log_weight"]
        self.log_rate = state.get("log_rate")

    def _error(self) -> float:
        if self.log_rate is None:
            return 0.0
        return min(2.0, max(-4.0, self.log_rate - math.log(self.target)))

    def _clamp(self, log_weight: float) -> float:
        return min(self.limits[1], max(self.limits[0], log_weight))
