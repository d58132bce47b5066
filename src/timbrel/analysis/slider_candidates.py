"""What may move a slider: operators, directions of the code, and random ones as a null."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from timbrel.generation.controls.operators import OPERATORS, Operator
from timbrel.metrics.sliders import AXES, PLACE
from timbrel.models.autoencoder import Autoencoder
from timbrel.randomness import numpy_generator

_DIRECTION_REACH = 2.0  # standard deviations of the training codes
_RIDGE = 1.0

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Profile:
    """How much is tried: recordings, anchors of each kind, components, random directions."""

    name: str
    training: int
    validation: int
    test: int
    components: int
    probes: bool
    random: int


PROFILES = {
    profile.name: profile
    for profile in (
        Profile("quick", 60, 5, 8, components=0, probes=False, random=1),
        Profile("full", 200, 10, 20, components=4, probes=True, random=8),
    )
}


@dataclass(frozen=True)
class Candidate:
    """Something that may move a slider; `direction` is None of an operator."""

    name: str
    reach: float
    direction: Array | None = None

    @property
    def directions(self) -> dict[str, Array]:
        """Its direction by its name; none of an operator."""
        return {} if self.direction is None else {self.name: self.direction}


def candidates(
    model: Autoencoder, training: Array, codes: Array, profile: Profile
) -> list[Candidate]:
    """Operators that the decoder can follow, principal components, and attributes' directions."""
    balanced = getattr(model.decoder, "balances", False)
    found = [
        Candidate(operator.name, operator.reach)
        for operator in OPERATORS.values()
        if _follows(operator, model.conditions, balanced=balanced)
    ]
    centred = codes - codes.mean(0)
    if codes.shape[1] and len(codes) > 2:
        _, singular, rows = np.linalg.svd(centred, full_matrices=False)
        for index in range(min(profile.components, len(rows))):
            signed = rows[index] * np.sign(rows[index][np.abs(rows[index]).argmax()])
            step = singular[index] / np.sqrt(len(codes)) * signed
            found.append(Candidate(f"component_{index}", _DIRECTION_REACH, step))
        for axis in AXES if profile.probes else ():
            step = _along_attribute(centred, training[:, PLACE[axis.name]])
            if step is not None and axis.name != "level":
                found.append(Candidate(f"probe_{axis.name}", _DIRECTION_REACH, step))
    return found


def _follows(operator: Operator, conditions: Sequence[str], *, balanced: bool) -> bool:
    if operator.name == "level":
        return False
    return set(operator.needs) <= set(conditions) and (balanced or not operator.balance)


def _along_attribute(centred: Array, values: Array) -> Array | None:
    """The mean change of the code with a change of the attribute by a standard deviation.

    The pattern of a ridge regression's weights (Haufe et al. 2014): weights alone point where noise
    cancels. None where fewer than eight recordings have the attribute.
    """
    known = np.isfinite(values)
    if known.sum() < 8 or not values[known].std() > 0:
        return None
    x = centred[known] - centred[known].mean(0)
    y = (values[known] - values[known].mean()) / values[known].std()
    scale = x.std(0).mean() ** 2 * len(x) + 1e-12
    weights = np.linalg.solve(x.T @ x + _RIDGE * scale * np.eye(x.shape[1]), x.T @ y)
    told = x @ weights
    return x.T @ told / max(float(told @ told), 1e-12) * told.std()


def random_candidates(codes: Array, profile: Profile, seed: int) -> list[Candidate]:
    """Random directions with the training codes' covariance."""
    if not codes.shape[1]:
        return []
    rng = numpy_generator(seed, 0, "random directions")
    centred = codes - codes.mean(0)
    return [
        Candidate(
            f"random_{i}",
            _DIRECTION_REACH,
            centred.T @ rng.standard_normal(len(codes)) / np.sqrt(len(codes)),
        )
        for i in range(profile.random)
    ]
