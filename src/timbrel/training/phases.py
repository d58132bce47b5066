"""Phases of a training: their starts, weights, trained parts and adversaries.

A training without phases is one whole phase. The learning rate follows the horizon, whatever the
phase; optimizers keep their moments across a border.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from timbrel.errors import UserError
from timbrel.training.adversaries import learning
from timbrel.training.horizon import Horizon


@dataclass(frozen=True, kw_only=True)
class Phase:
    """What holds from a step on, or from a share of the training, until the next phase begins.

    `weights` replace those of the loss mix, by term. `train` names the parts of the model that
    learn, `adversaries` those of `loss.adversaries` that play; None: all of them.
    """

    name: str = ""
    from_step: int | None = None
    from_share: float | None = None
    weights: Mapping[str, float] = field(default_factory=dict)
    train: Sequence[str] | None = None
    adversaries: Sequence[str] | None = None

    def first_step(self, horizon: Horizon) -> int | None:
        """The step it begins at; None while the horizon is not known and it needs it."""
        return (
            horizon.step_at(self.from_share) if self.from_share is not None else self.from_step or 0
        )

    def plays(self, adversary: str) -> bool:
        """Whether that one of `loss.adversaries` gives terms and learns."""
        return self.adversaries is None or adversary in self.adversaries


class Phases:
    """The phases in order; `given` tells whether the config has any.

    >>> both = Phases([Phase(name="a"), Phase(name="b", from_share=0.5)])
    >>> [both.at(step, Horizon(max_steps=11)) for step in (0, 5, 6, 10)]
    [0, 0, 1, 1]
    """

    def __init__(self, phases: Sequence[Phase] = ()) -> None:
        self.given = bool(phases)
        self._phases = tuple(phases) or (Phase(),)

    def __getitem__(self, number: int) -> Phase:
        return self._phases[number]

    def at(self, step: int, horizon: Horizon) -> int:
        """The number, from 0, of the phase of step `step` (counted from 0)."""
        starts = [phase.first_step(horizon) for phase in self._phases]
        begun = [n for n, start in enumerate(starts) if start is not None and start <= step]
        return max(begun)

    def is_last(self, number: int) -> bool:
        """Whether no phase comes after this one."""
        return number == len(self._phases) - 1

    def after(self, step: int, horizon: Horizon) -> list[str]:
        """Names of the phases that had not begun when `step` steps were done."""
        return [phase.name for phase in self._phases[self.at(max(0, step - 1), horizon) + 1 :]]

    def reweighed(self) -> set[str]:
        """The terms whose weight is another in some phase."""
        return {term for phase in self._phases for term in phase.weights}


class TrainedParts:
    """Which parts of the model learn; the others rest.

    A part at rest takes no gradient and no weight decay, and is in evaluation mode: dropout is off
    and statistics of normalisation stay. What is validated and kept is the average of the weights,
    so a part rests at its averaged weights, and the parts that learn learn to go with those.
    """

    def __init__(self, model: nn.Module, average: nn.Module) -> None:
        self.model, self.average = model, average
        self._learning = learning(model)
        self._modes = {module: module.training for module in model.modules()}

    def check(self, phases: Sequence[Phase]) -> None:
        """Raises UserError where a phase trains a part that the model does not have."""
        parts = [name for name, _ in self.model.named_children()]
        for phase in phases:
            for name in phase.train or ():
                if name not in parts:
                    raise UserError(
                        f"phases.{phase.name}.train: the architecture has no part '{name}', only "
                        f"{', '.join(parts)}"
                    )

    def choose(self, names: Sequence[str] | None) -> None:
        """Let the parts called `names` learn (None: all), as they did when the training was built.

        Idempotent, so that a resumed phase goes on as it was.
        """
        for parameter in self._learning:
            parameter.requires_grad_(True)
        for module, mode in self._modes.items():
            module.training = mode
        for name, part in self.model.named_children():
            if names is not None and name not in names:
                self._rest(part, self.average.get_submodule(name))

    @torch.no_grad()
    def _rest(self, part: nn.Module, averaged: nn.Module) -> None:
        for parameter, average in zip(part.parameters(), averaged.parameters(), strict=True):
            parameter.copy_(average)
        part.requires_grad_(False)
        part.eval()
