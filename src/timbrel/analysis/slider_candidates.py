"""What may move a slider: operators, directions of the code, and random ones as a null."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from timbrel.analysis.slider_jacobian import ANCHORS, direction_along, responses_to
from timbrel.analysis.sparse_code import LEAST_ALIVE, sparse_code
from timbrel.generation.controls.apply import Playable
from timbrel.generation.controls.operators import OPERATORS, Operator
from timbrel.metrics.sliders import AXES, PLACE
from timbrel.models.autoencoder import Autoencoder
from timbrel.randomness import numpy_generator

_DIRECTION_REACH = 2.0  # standard deviations of the training codes
_RIDGE = 1.0
_LEAST_KNOWN = 8

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Profile:
    """How much is tried: recordings, anchors of each kind, components, learned directions."""

    name: str
    training: int
    validation: int
    test: int
    components: int
    learned: bool


PROFILES = {
    profile.name: profile
    for profile in (
        Profile("quick", 60, 5, 8, components=0, learned=False),
        Profile("full", 200, 10, 20, components=6, learned=True),
    )
}


@dataclass(frozen=True, eq=False)
class Codes:
    """Training codes, frame codes and the clip code beneath: means by recording, and all frames.

    `ordered` names the units that a training tied to an attribute (`latent=ar_vae`).
    """

    recordings: Array
    frames: Array
    ordered: Mapping[str, int]


@dataclass(frozen=True)
class Candidate:
    """Something that may move a slider; `direction` is None of an operator."""

    name: str
    reach: float
    direction: Array | None = None

    @property
    def behind(self) -> bool:
        """Whether it works on the decoded sound alone."""
        return self.name in OPERATORS and OPERATORS[self.name].behind

    def made_for(self, axis: str) -> bool:
        """Whether it is an operator of that axis."""
        return self.name in OPERATORS and OPERATORS[self.name].axis == axis

    @property
    def directions(self) -> dict[str, Array]:
        """Its direction by its name; none of an operator."""
        return {} if self.direction is None else {self.name: self.direction}


def operators(model: Autoencoder) -> list[Candidate]:
    """The operators that the decoder can follow."""
    balanced = getattr(model.decoder, "balances", False)
    return [
        Candidate(operator.name, operator.reach)
        for operator in OPERATORS.values()
        if _follows(operator, model, balanced=balanced)
    ]


def _follows(operator: Operator, model: Autoencoder, *, balanced: bool) -> bool:
    if operator.name == "level" or (operator.stereo and model.channels != 2):
        return False
    return set(operator.needs) <= set(model.conditions) and (balanced or not operator.balance)


def directions(
    training: Array,
    codes: Codes,
    anchors: Sequence[Playable],
    spread: Array,
    profile: Profile,
    seed: int,
) -> list[Candidate]:
    """Directions of the code: units that follow an attribute, components, and learned ones.

    `training` are the recordings' values `(recording, axis)`; `anchors` are decoded to learn from.
    """
    found = dict(_ordered(codes))
    centred = codes.recordings - codes.recordings.mean(0)
    components = _components(centred, profile.components)
    found |= {f"component_{index}": step for index, step in enumerate(components)}
    if profile.learned and codes.recordings.shape[1]:
        found |= dict(_probes(centred, training))
        found |= dict(_sparse(codes, training, seed))
        responses = responses_to(anchors[:ANCHORS], components, spread)
        for axis in AXES:
            step = direction_along(responses, components, axis.name)
            if axis.name != "level" and step is not None:
                found[f"jacobian_{axis.name}"] = step
    return [Candidate(name, _DIRECTION_REACH, step) for name, step in found.items()]


def _ordered(codes: Codes) -> Iterator[tuple[str, Array]]:
    """A standard deviation of every unit that follows an attribute."""
    for attribute, unit in codes.ordered.items():
        step = np.zeros(codes.recordings.shape[1])
        step[unit] = codes.frames[:, unit].std()
        yield f"ar_{attribute}", step


def _components(centred: Array, count: int) -> Array:
    """Principal components, `(component, unit)`, a standard deviation of each."""
    if not centred.shape[1] or len(centred) <= 2:
        return np.zeros((0, centred.shape[1]))
    _, singular, rows = np.linalg.svd(centred, full_matrices=False)
    rows, singular = rows[:count], singular[:count]
    largest = np.take_along_axis(rows, np.abs(rows).argmax(1)[:, None], 1)
    return rows * np.sign(largest) * singular[:, None] / np.sqrt(len(centred))


def _probes(centred: Array, training: Array) -> Iterator[tuple[str, Array]]:
    for axis in AXES:
        step = _along_attribute(centred, training[:, PLACE[axis.name]])
        if step is not None and axis.name != "level":
            yield f"probe_{axis.name}", step


def _along_attribute(centred: Array, values: Array) -> Array | None:
    """The mean change of the code with a change of the attribute by a standard deviation.

    The pattern of a ridge regression's weights (Haufe et al. 2014): weights alone point where noise
    cancels. None where fewer than eight recordings have the attribute.
    """
    known = np.isfinite(values)
    if known.sum() < _LEAST_KNOWN or not values[known].std() > 0:
        return None
    x = centred[known] - centred[known].mean(0)
    y = (values[known] - values[known].mean()) / values[known].std()
    scale = x.std(0).mean() ** 2 * len(x) + 1e-12
    weights = np.linalg.solve(x.T @ x + _RIDGE * scale * np.eye(x.shape[1]), x.T @ y)
    told = x @ weights
    return x.T @ told / max(float(told @ told), 1e-12) * told.std()


def _sparse(codes: Codes, training: Array, seed: int) -> Iterator[tuple[str, Array]]:
    """The unit of a sparse code that goes with each axis best; it goes as far as it is ever on.

    None where more than a tenth of its units are never on.
    """
    sparse = sparse_code(codes.frames, seed)
    if sparse.alive < LEAST_ALIVE:
        return
    on = sparse.units(codes.recordings)
    farthest = np.quantile(sparse.units(codes.frames), 0.99, axis=0)
    for axis in AXES:
        values = training[:, PLACE[axis.name]]
        known = np.isfinite(values)
        if axis.name == "level" or known.sum() < _LEAST_KNOWN or not np.ptp(values[known]) > 0:
            continue
        moves = on[known] - on[known].mean(0)
        told = np.abs(moves.T @ (values[known] - values[known].mean()))
        unit = int((told / np.maximum(np.linalg.norm(moves, axis=0), 1e-9)).argmax())
        yield f"sae_{unit}", sparse.directions[unit] * farthest[unit] / _DIRECTION_REACH


def random_directions(codes: Codes, count: int, seed: int) -> list[Candidate]:
    """Random directions with the training codes' covariance."""
    centred = codes.recordings - codes.recordings.mean(0)
    if not centred.shape[1]:
        return []
    rng = numpy_generator(seed, 0, "random directions")
    return [
        Candidate(
            f"random_{i}",
            _DIRECTION_REACH,
            centred.T @ rng.standard_normal(len(centred)) / np.sqrt(len(centred)),
        )
        for i in range(count)
    ]
