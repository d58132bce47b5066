"""The loss mix: named terms times weights, applied here and nowhere else.

Scale of the objective. Reconstruction terms are means over spectrogram elements, per example; read
as the negative log-likelihood of a Laplace distribution of unit scale they are nats per audio
sample. The KL (`kl`) is in nats per audio sample too. So weight 1 on every term is the evidence
lower bound per audio sample, and a weight b on `kl` is the beta of beta-VAE (Higgins et al. 2017).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from timbrel.errors import UserError, did_you_mean
from timbrel.losses.control import Controller
from timbrel.losses.schedules import Schedule
from timbrel.losses.terms import Diagnostic, value_of


@dataclass(frozen=True)
class Objective:
    """The weighted sum, and each term before weighting (batch means, for the log).

    `weights` are those that were applied; a diagnostic may have none.
    """

    total: Float[Tensor, ""]
    terms: dict[str, Float[Tensor, ""]]
    weights: dict[str, float]

    def detached(self) -> "Objective":
        """The same values without the graph behind them, to keep for a log."""
        return replace(self, total=self.total.detach())


class LossMix:
    """Weighs named terms. Every term needs a weight and every weight a term.

    A diagnostic needs none: it is logged with the terms, and is part of the total only if it has a
    weight. A weight is a number, a schedule, or a controller, which gets the KL by `observe`. In a
    call, `replaced` are other weights for some terms, and `resting` names weights whose terms are
    not given.

    Raises:
        UserError: a weight names no term, or a term has no weight (at the first call).
    """

    def __init__(self, weights: Mapping[str, float | Schedule]) -> None:
        self.weights = dict(weights)

    def __call__(
        self,
        terms: Mapping[str, Tensor | Diagnostic],
        step: int,
        *,
        replaced: Mapping[str, float] = MappingProxyType({}),
        resting: Collection[str] = (),
    ) -> Objective:
        self.check(terms, resting)
        means = {name: value_of(term).mean() for name, term in terms.items()}
        every = {**self.weights_at(step), **replaced}
        weights = {name: weight for name, weight in every.items() if name in terms}
        total = torch.stack(
            [weights[name] * means[name] for name in means if name in weights]
        ).sum()
        return Objective(total, {k: v.detach() for k, v in means.items()}, weights)

    def check(
        self, terms: Mapping[str, Tensor | Diagnostic], resting: Collection[str] = ()
    ) -> None:
        """Raises UserError unless terms and weights, but for the `resting` ones, are the same."""
        for name in sorted(self.weights.keys() - set(terms) - set(resting)):
            raise UserError(f"weight '{name}' names no loss term{did_you_mean(name, terms)}")
        needing = {name for name, term in terms.items() if not isinstance(term, Diagnostic)}
        for name in sorted(needing - self.weights.keys()):
            raise UserError(f"loss term '{name}' has no weight; set it to 0 to switch it off")

    def weights_at(self, step: int) -> dict[str, float]:
        """Every weight's value at a step."""
        return {
            name: float(weight(step) if callable(weight) else weight)
            for name, weight in self.weights.items()
        }

    @property
    def controllers(self) -> dict[str, Controller]:
        """The weights that adapt to the measured KL."""
        return {k: w for k, w in self.weights.items() if isinstance(w, Controller)}

    def observe(self, nats_per_frame: float, replaced: Collection[str] = ()) -> None:
        """Give every controller the KL of a training step.

        A controller whose weight was `replaced` in that step is skipped: it did not affect the KL.
        """
        for name, controller in self.controllers.items():
            if name not in replaced:
                controller.observe(nats_per_frame)

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {name: controller.state() for name, controller in self.controllers.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        for name, controller in self.controllers.items():
            controller.restore(state[name])
