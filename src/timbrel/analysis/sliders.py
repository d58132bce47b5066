"""Finds the sliders of a model: candidates are tried on some sounds, and judged on others.

A candidate is an operator (`generation.controls.operators`) or a direction of the code: a principal
component, an attribute's own unit, a unit of a sparse code, or what finite differences tell. Of the
directions only those that are best for some axis at both ends are moved through all positions.
Candidates are tried on the validation anchors; every axis takes the one, and the part of its way,
that scores best there (`metrics.sliders`), and is then reported on the test anchors. The null of a
slider is the best of as many random directions, found and reported in the same way.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from timbrel.analysis.slider_candidates import (
    Codes,
    Profile,
    directions,
    operators,
    random_directions,
)
from timbrel.analysis.slider_choice import (
    LEAST_POSITIONS,
    LEAST_PURITY,
    NOTHING_MOVED,
    POSITIONS,
    Choice,
    best_compensated,
    chosen,
    course_of,
    screened,
    takes_of,
    values_of,
)
from timbrel.analysis.slider_reference import REFERENCES
from timbrel.attributes.measurement import measure
from timbrel.generation.controls.apply import Playable
from timbrel.generation.controls.mapper import Mapper, Slider
from timbrel.generation.controls.named import FAMILIES
from timbrel.generation.controls.operators import OPERATORS
from timbrel.metrics.sliders import (
    AXES,
    NOTHING,
    PLACE,
    SliderScore,
    on_axes,
    slider_score,
    spreads,
)
from timbrel.models.autoencoder import Autoencoder
from timbrel.randomness import numpy_generator

LEAST_SDOT = 0.6
"""A slider is ok from this SDOT on, if it is above its null, and pure in most sounds."""
HELD_SHARE = 0.15
"""An attribute is held where the median error of reconstructions is at most this of its range."""

_AS_GOOD = 0.05
_FEWEST_HELD = 3
_FEWEST_TEST = 3
_LANDINGS = (0.3, 0.7)
_SILENT_PEAK = 1e-4

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Found:
    """The mapper, and what was measured on the way.

    `responses` are the median moves of every axis (in spreads) from the lowest to the highest
    position of every candidate, on the validation anchors; `anchors` names the test anchors.
    """

    mapper: Mapper
    responses: Mapping[str, Array]
    anchors: tuple[str, ...]


def find_sliders(
    model: Autoencoder,
    *,
    training: Array,
    codes: Codes,
    reconstruction_errors: Array,
    validation: Sequence[Playable],
    test: Sequence[Playable],
    anchors: Sequence[str],
    profile: Profile,
    seed: int,
    progress: Callable[[str], None] = lambda _: None,
) -> Found:
    """The sliders of `model`.

    `training` are the training recordings' values `(recording, axis)` and `codes` their codes.
    `reconstruction_errors`, `(recording, axis)`, are those of held-out recordings, nan where one
    has no value.
    """
    spread = spreads(training)
    ranges = _ranges(training)
    moved = {NOTHING_MOVED: takes_of(validation)}
    null = takes_of(test)
    learned = directions(training, codes, validation, spread, profile, seed)
    drawn = random_directions(codes, max(1, len(learned)), seed)
    learned, ends = screened(learned, validation, moved, spread, seed)
    progress("screened directions of the code")
    random, ends_by_chance = screened(drawn, validation, moved, spread, seed)
    progress("screened random directions")
    tried = [*operators(model), *learned]
    for candidate in (*tried, *random):
        progress(f"tried {candidate.name}")
        amounts = np.linspace(-candidate.reach, candidate.reach, POSITIONS)
        moved[candidate.name] = values_of(
            validation, {candidate.name: amounts}, candidate.directions
        )
    sliders: dict[str, Slider] = {}
    kept: dict[str, Array] = {}
    for axis in AXES:
        if axis.name == "level":
            sliders["level"] = _gain(axis.name)
            continue
        reason = "the model is mono" if axis.name == "width" and model.channels == 1 else ""
        reason = reason or not_held(axis.name, ranges, reconstruction_errors)
        by_chance = chosen(axis.name, random, moved, spread, seed)
        own = [[c] for c in tried if not c.behind and c.made_for(axis.name)]
        rest = [c for c in tried if not c.behind and not c.made_for(axis.name)]
        inside, behind = (
            best_compensated(
                [chosen(axis.name, group, moved, spread, seed) for group in groups],
                axis.name,
                validation,
                moved,
                spread,
                seed,
            )
            for groups in ([*own, rest], [[c for c in tried if c.behind]])
        )
        choice = inside if _as_good(inside, behind) else behind
        progress(f"judged {axis.name}")
        slider = _judged(axis.name, choice, by_chance, test, null, spread, seed)
        if reason and behind is not None and choice is not behind:  # it needs nothing of the model
            filtered = _judged(axis.name, behind, by_chance, test, null, spread, seed)
            choice, slider = (behind, filtered) if filtered.verdict == "dsp" else (choice, slider)
        if slider.verdict == "dsp":
            slider = replace(slider, why=_why_dsp(reason, inside))
        elif reason:
            slider = replace(slider, verdict="not held", why=reason)
        sliders[axis.name] = slider
        if choice is not None:
            kept |= choice.candidate.directions
    mapper = Mapper(sliders, kept, ranges, profile.name)
    responses = {
        name: np.array(
            [np.ptp(course_of(values, axis.name, values.shape[1] // 2)) for axis in AXES]
        )
        / spread
        for name, values in (ends | ends_by_chance | moved).items()
    }
    return Found(mapper, responses, tuple(anchors))


def _as_good(inside: Choice | None, behind: Choice | None) -> bool:
    """Whether what moves the model's own sound comes as far as a filter of it, or nearly so."""
    if inside is None or behind is None:
        return behind is None
    return inside.merit >= behind.merit - _AS_GOOD


def _judged(
    axis: str,
    choice: Choice | None,
    chance: Choice | None,
    test: Sequence[Playable],
    null: Array,
    spread: Array,
    seed: int,
) -> Slider:
    """The slider of `choice`, reported on the test anchors."""
    family = next(name for name, axes in FAMILIES.items() if axis in axes)
    unit = AXES[PLACE[axis]].unit
    if choice is None:
        why = "no sound that was tried has it"
        return Slider(axis, family, unit, "none", "", (), (), verdict="not held", why=why)
    rng = numpy_generator(seed, 1, "slider scores")

    def score_of(made: Choice, positions: int) -> SliderScore:
        along = np.linspace(0, len(made.part) - 1, positions)
        origin = int(np.abs(along - made.origin).argmin())
        along = along + (made.origin - along[origin])  # one of them is the sound as it is
        way = {
            name: np.interp(along, np.arange(len(made.part)), amounts)
            for name, amounts in made.way.items()
        }
        values = values_of(test, way, made.candidate.directions)
        return slider_score(values, axis, spread, origin, rng, null=null)

    score = score_of(choice, POSITIONS)
    by_chance = NOTHING if chance is None else score_of(chance, LEAST_POSITIONS)
    slider = Slider(
        axis,
        family,
        unit,
        "operator" if choice.candidate.direction is None else "direction",
        choice.candidate.name,
        tuple(map(float, choice.way[choice.candidate.name])),
        tuple(map(float, choice.moves)),
        mends={
            name: tuple(map(float, amounts))
            for name, amounts in choice.way.items()
            if name != choice.candidate.name
        },
    )
    reference = REFERENCES.get(axis)
    of_reference = NOTHING
    if reference is not None:
        made = np.stack([reference(anchor, choice.moves) for anchor in test])
        of_reference = slider_score(made, axis, spread, choice.origin, rng, null=null)
    why = _why_weak(score, by_chance)
    if not why and choice.candidate.behind:
        slider = replace(slider, verdict="dsp")
    scores = asdict(score) | {
        "null": by_chance.sdot,
        "reference": of_reference.sdot,
        "open_loop_error": _landing_error(slider, choice, test),
        "broken_ends": _broken_ends(slider, choice.candidate.directions, test),
        "ends": 2 * len(test),
        "chosen_at": choice.score.sdot,
    }
    scores = {k: round(v, 6) if isinstance(v, float) else v for k, v in scores.items()}
    if why:
        slider = replace(slider, verdict="weak", why=why)
    return replace(slider, scores=scores)


def _why_weak(score: SliderScore, null: SliderScore) -> str:
    if not score.n:
        return "no test sound has it"
    if score.n < _FEWEST_TEST:
        return f"too few test sounds have it ({score.n}; {_FEWEST_TEST} or more can tell)"
    if score.sdot < LEAST_SDOT:
        leak = f", {score.leaks_to} moves along" if score.leaks_to and score.purity < 0.8 else ""
        return f"SDOT {score.sdot:.2f} is below {LEAST_SDOT}{leak}"
    if score.sdot <= null.sdot:
        return f"SDOT {score.sdot:.2f} is no more than that of a random direction"
    if score.purity_p25 < LEAST_PURITY:
        return f"purity of a quarter of the sounds is below {LEAST_PURITY}"
    return ""


def _why_dsp(reason: str, inside: Choice | None) -> str:
    """What the model itself comes to, where a filter behind the decoder makes the slider."""
    if reason:
        return f"by a filter behind the decoder, since {reason}"
    best = 0.0 if inside is None else inside.score.sdot
    return f"by a filter behind the decoder; what moves it in the code comes to {best:.2f}"


def _landing_error(slider: Slider, choice: Choice, test: Sequence[Playable]) -> float | None:
    """The median error of moves that are asked for, in the unit of the axis; None of no sound."""
    low, high = slider.reach
    place, errors = PLACE[slider.axis], []
    for index, anchor in enumerate(test):
        share = _LANDINGS[index % len(_LANDINGS)]
        move = low + share * (high - low)
        audio = anchor.moved(slider.amounts_of(move), choice.candidate.directions)
        found = on_axes(measure(audio, anchor.model.sample_rate_hz))[place]
        start = on_axes(anchor.measured)[place]
        if np.isfinite(found) and np.isfinite(start):
            errors.append(abs(found - start - move))
    return float(np.median(errors)) if errors else None


def _broken_ends(slider: Slider, directions: Mapping[str, Array], test: Sequence[Playable]) -> int:
    """How many renders, of each sound at both ends of the slider, are broken."""
    return sum(
        is_broken(anchor.moved(slider.amounts_of(end), directions), anchor.audio)
        for anchor in test
        for end in slider.reach
    )


def is_broken(audio: NDArray[np.float32], own: NDArray[np.float32]) -> bool:
    """Whether `audio` is not finite, or silent or above full scale where the sound's `own` is not.

    >>> is_broken(np.full(9, 1.5), own=np.full(9, 1.5)), is_broken(np.full(9, 1.5), own=np.ones(9))
    (False, True)
    """
    peak, own_peak = (float(np.abs(sound).max(initial=0.0)) for sound in (audio, own))
    silent = peak <= _SILENT_PEAK < own_peak
    return not np.isfinite(peak) or silent or peak > max(1.0, own_peak) * (1 + 1e-6)


def not_held(axis: str, ranges: Mapping[str, tuple[float, float]], errors: Array) -> str:
    """Why the model does not hold an axis; empty where it does, or where too few can tell."""
    known = errors[:, PLACE[axis]]
    known = known[np.isfinite(known)]
    if len(known) < _FEWEST_HELD or axis not in ranges:
        return "" if axis in ranges else "the recordings have none"
    low, high = ranges[axis]
    span = max(high - low, AXES[PLACE[axis]].audible)
    share = float(np.median(known)) / span
    if share <= HELD_SHARE:
        return ""
    return (
        f"the model does not hold it: the median error of reconstructions is {share:.0%} of the "
        "recordings' range"
    )


def _ranges(training: Array) -> dict[str, tuple[float, float]]:
    found = {}
    for axis, column in zip(AXES, training.T, strict=True):
        known = column[np.isfinite(column)]
        if len(known):
            low, high = np.quantile(known, [0.05, 0.95])
            found[axis.name] = float(low), float(high)
    return found


def _gain(axis: str) -> Slider:
    reach = OPERATORS["level"].reach
    return Slider(
        axis=axis,
        family="level",
        unit="LU",
        kind="gain",
        operator="level",
        amounts=(-reach, 0.0, reach),
        moves=(-reach, 0.0, reach),
        verdict="dsp",
        why="a gain behind the decoder, exact",
    )
