"""Chooses what moves a slider: the candidate, and the part of its way, that score best.

A candidate is decoded and measured at nine positions on some sounds, its anchors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from timbrel.analysis.slider_candidates import Candidate
from timbrel.attributes.measurement import measure
from timbrel.generation.controls.apply import Audio, Playable
from timbrel.generation.controls.operators import OPERATORS
from timbrel.metrics.sliders import AXES, PLACE, SliderScore, on_axes, pitched, slider_score
from timbrel.randomness import numpy_generator

POSITIONS, LEAST_POSITIONS = 9, 5
LEAST_PURITY = 0.4
"""The least lower quartile of the anchors' purity of a slider that is ok."""
NOTHING_MOVED = "nothing"
"""The name of what is no candidate: the same sounds in other takes."""

_SILENT = 1e-5
_MOST_BROKEN = 0.25  # of the anchors
_LEAST_LEAK = 0.1  # spreads: what is less is not made up for
_MENDS = {"brightness": "brightness", "hnr": "balance"}

Array = NDArray[np.float64]


def takes_of(anchors: Sequence[Playable]) -> Array:
    """What anchors come to where nothing is moved, `(anchor, take, axis)`."""
    return np.stack(
        [
            np.stack(
                [
                    on_axes(measure(anchor.again(take), anchor.model.sample_rate_hz))
                    for take in range(POSITIONS)
                ]
            )
            for anchor in anchors
        ]
    )


def values_of(
    anchors: Sequence[Playable], way: Mapping[str, Array], directions: Mapping[str, Array]
) -> Array:
    """`(anchor, position, axis)`; `way` gives the amounts of operators and directions there."""
    found = []
    for anchor in anchors:
        rows = []
        for position in range(len(next(iter(way.values())))):
            amounts = {name: float(along[position]) for name, along in way.items()}
            if any(amounts.values()):
                rows.append(_values(anchor, anchor.moved(amounts, directions)))
            else:  # decoded and measured already
                rows.append(on_axes(anchor.measured))
        found.append(np.stack(rows))
    return np.stack(found)


def _values(anchor: Playable, audio: Audio) -> Array:
    """What a render comes to; nothing but nan where it is broken.

    That is: not finite, silent, or beyond full scale where the sound as it is was not.
    """
    peak = float(np.abs(audio).max())
    highest = max(1.0, float(np.abs(anchor.audio).max()))
    if not _SILENT <= peak <= highest * (1 + 1e-4):  # false of nan, too
        return np.full(len(AXES), np.nan)
    return on_axes(measure(audio, anchor.model.sample_rate_hz))


def safe_positions(values: Array, origin: int) -> tuple[int, int]:
    """The first and last position of the part around `origin` in which sounds stay whole.

    It ends where more than a quarter of the anchors break, or lose the pitch that they have.

    >>> values = np.zeros((4, 5, len(AXES)))
    >>> values[:2, 4, PLACE["pitch"]] = np.nan
    >>> safe_positions(values, 2)
    (0, 3)
    """
    pitch = np.isfinite(values[:, :, PLACE["pitch"]])
    broken = ~np.isfinite(values).any(2) | (pitch[:, origin, None] & ~pitch)
    safe = broken.mean(0) <= _MOST_BROKEN
    low = high = origin
    while low > 0 and safe[low - 1]:
        low -= 1
    while high < len(safe) - 1 and safe[high + 1]:
        high += 1
    return low, high


def screened(
    directions: Sequence[Candidate],
    anchors: Sequence[Playable],
    moved: Mapping[str, Array],
    spread: Array,
    seed: int,
) -> tuple[list[Candidate], dict[str, Array]]:
    """The directions that are best for some axis at both ends of their way, and all their values.

    Values are `(anchor, position, axis)` at the lowest, the middle and the highest position.
    """
    found: dict[str, Array] = {}
    best: dict[str, tuple[float, Candidate]] = {}
    rng = numpy_generator(seed, 0, "slider scores")
    middle = np.stack([on_axes(anchor.measured) for anchor in anchors])
    for candidate in directions:
        ends = values_of(
            anchors,
            {candidate.name: np.array([-candidate.reach, candidate.reach])},
            candidate.directions,
        )
        values = found[candidate.name] = np.stack([ends[:, 0], middle, ends[:, 1]], axis=1)
        for axis in AXES:
            score = max(
                slider_score(
                    way, axis.name, spread, 1, rng, null=moved[NOTHING_MOVED], draws=0
                ).sdot
                for way in (values, values[:, ::-1])
            )
            if axis.name != "level" and score > best.get(axis.name, (0.0,))[0]:
                best[axis.name] = score, candidate
    kept = {candidate.name for _, candidate in best.values()}
    return [candidate for candidate in directions if candidate.name in kept], found


@dataclass(frozen=True)
class Choice:
    """A candidate, and the positions of it that are used.

    `way` gives its amounts there, and those of what makes up for its leaks. The axis rises from the
    first to the last; `moves` are its median moves on the anchors, `part` the positions' places.
    `bound` is the most that its merit could be on any part, if nothing else moved along.
    """

    candidate: Candidate
    way: Mapping[str, Array]
    moves: Array
    part: NDArray[np.int64]
    score: SliderScore
    bound: float

    @property
    def origin(self) -> int:
        """The position at which the sound is as it is."""
        return int(np.abs(self.way[self.candidate.name]).argmin())

    @property
    def merit(self) -> float:
        """What choices are ranked by."""
        return merit(self.score)


def merit(score: SliderScore) -> float:
    """SDOT, and less where a quarter of the anchors is not as pure as a slider must be.

    A warp of the attack does nothing to a hit without one: the median of few anchors may not tell.
    """
    return score.sdot * min(1.0, score.purity_p25 / LEAST_PURITY)


def chosen(
    axis: str,
    tried: Sequence[Candidate],
    moved: Mapping[str, Array],
    spread: Array,
    seed: int,
) -> Choice | None:
    """The candidate, and the part of its way, that score best; None if no anchor has the axis."""
    return better(
        *(
            _best_part(
                axis, candidate, _whole(candidate), moved[candidate.name], moved, spread, seed
            )
            for candidate in tried
        )
    )


def _whole(candidate: Candidate) -> dict[str, Array]:
    return {candidate.name: np.linspace(-candidate.reach, candidate.reach, POSITIONS)}


def _best_part(
    axis: str,
    candidate: Candidate,
    way: Mapping[str, Array],
    values: Array,
    moved: Mapping[str, Array],
    spread: Array,
    seed: int,
) -> Choice | None:
    """The part of `way`, which has these `values`, that scores best."""
    best: Choice | None = None
    bound = 0.0
    rng = numpy_generator(seed, 0, "slider scores")
    middle = POSITIONS // 2
    course = course_of(values, axis, middle)
    if not np.isfinite(course).any():
        return None
    lowest, highest = safe_positions(values, middle)
    upwards = np.nan_to_num(course[highest]) >= np.nan_to_num(course[lowest])
    for first in range(lowest, middle + 1):
        for last in range(max(middle, first + LEAST_POSITIONS - 1), highest + 1):
            part = np.arange(first, last + 1)
            part = part if upwards else part[::-1]
            origin = int(np.flatnonzero(part == middle)[0])
            score = slider_score(
                values[:, part], axis, spread, origin, rng, null=moved[NOTHING_MOVED], draws=0
            )
            bound = max(bound, score.monotonicity * score.range)
            if best is None or merit(score) > best.merit:
                moves = _rising(course[part], origin)
                used = {name: amounts[part] for name, amounts in way.items()}
                best = Choice(candidate, used, moves, part, score, bound)
    return None if best is None else replace(best, bound=bound)


def better(*choices: Choice | None) -> Choice | None:
    """The choice with the highest merit."""
    made = [choice for choice in choices if choice is not None]
    return max(made, key=lambda choice: choice.merit, default=None)


def best_compensated(
    choices: Sequence[Choice | None],
    axis: str,
    validation: Sequence[Playable],
    moved: Mapping[str, Array],
    spread: Array,
    seed: int,
) -> Choice | None:
    """The best of `choices`, each with what makes up for its leaks.

    To make up for leaks takes a decoding of every position: a choice whose `bound` is no more than
    what another has come to is left as it is.
    """
    made = sorted((c for c in choices if c is not None), key=lambda c: c.merit, reverse=True)
    best = made[0] if made else None
    for choice in made:
        if best is not None and choice.bound > best.merit:
            best = better(best, _compensated(choice, axis, validation, moved, spread, seed))
    return best


def _compensated(
    choice: Choice,
    axis: str,
    validation: Sequence[Playable],
    moved: Mapping[str, Array],
    spread: Array,
    seed: int,
) -> Choice:
    """The choice with what makes up for its leaks into brightness and noisiness, if that is better.

    By the median leak at every position and the median response of the operator in question; the
    part of the way is chosen anew.
    """
    candidate = choice.candidate
    own = pitched(moved[candidate.name])
    middle = POSITIONS // 2
    way = _whole(candidate)
    for other, operator in _MENDS.items():
        if other == axis or operator == candidate.name or operator not in moved:
            continue
        leak = np.nan_to_num(course_of(own, other, middle))
        if np.ptp(leak) < _LEAST_LEAK * spread[PLACE[other]]:
            continue
        reach = OPERATORS[operator].reach
        amounts = np.linspace(-reach, reach, POSITIONS)
        response = course_of(moved[operator], other, middle)
        if not np.isfinite(response).all():
            continue
        mend = np.interp(-leak, _rising(response, middle), amounts)
        way[operator] = np.clip(mend, -reach / 2, reach / 2) - mend[middle]
    if len(way) == 1:
        return choice
    values = values_of(validation, way, candidate.directions)
    mended = _best_part(axis, candidate, way, values, moved, spread, seed)
    return choice if mended is None or mended.merit <= choice.merit else mended


def course_of(values: Array, axis: str, origin: int) -> Array:
    """The median move of an axis at every position, over the anchors that have it; else nan."""
    place = PLACE[axis]
    moves = values[:, :, place] - values[:, origin : origin + 1, place]
    moves = moves[np.isfinite(moves[:, origin])]
    if not len(moves):
        return np.full(values.shape[1], np.nan)
    known = np.isfinite(moves).any(0)
    course = np.full(values.shape[1], np.nan)
    course[known] = np.nanmedian(moves[:, known], axis=0)
    return course


def _rising(moves: Array, origin: int) -> Array:
    """A course that rises throughout and is 0 at the origin."""
    moves = np.nan_to_num(moves)
    up = np.maximum.accumulate(np.maximum(moves[origin:], 0.0))
    down = np.minimum.accumulate(np.minimum(moves[: origin + 1][::-1], 0.0))[::-1]
    made = np.concatenate([down[:-1], up])
    made[origin] = 0.0
    return made + 1e-9 * (np.arange(len(made)) - origin)
