"""Gates on generated sounds: memorisation, coverage, diversity and interpolation.

Expected coverage and Vendi score depend on the number of clips: limits and values are relative to
those of a perfect generator, and of the training clips themselves.
"""

import math
from collections.abc import Callable

import numpy as np

from timbrel.analysis.gates import Gate, judged, unknown
from timbrel.analysis.generated_sounds import GeneratedSounds
from timbrel.config.limits import LIMITS, ByKey
from timbrel.metrics.diversity import expected_coverage

FEWEST_HELD_OUT, FEWEST_TRAINING, FEWEST_GENERATED = 3, 8, 8
"""Fewest clips of each kind; with fewer the result of a gate is unknown."""

_ALWAYS_A_COPY = 0.02


def generation_gates(sounds: GeneratedSounds | None, limits: ByKey) -> list[Gate]:
    """Every gate of this module; `limits` are the run's."""
    of_gate = {name: limits[LIMITS[name].key] for name in GATES}
    if sounds is None:
        why = "nothing to measure: all training clips are silent, or no generated sound is finite"
        return [unknown(name, of_gate[name], why) for name in GATES]
    return [gate(sounds, of_gate[name]) for name, gate in GATES.items()]


def memorisation(sounds: GeneratedSounds, least: float | None) -> Gate:
    """The generated clip nearest to a training clip is not much nearer than held-out recordings.

    Its distance, divided by the median distance of held-out recordings, is at least `least`. If
    the data set holds near-duplicates, so that a held-out recording is nearer than that, the limit
    is that recording's distance, but never below 0.02. A copy that differs in level or order only
    scores 0. The gate misses a memorised sound that is reproduced so coarsely that any other
    recording is nearer.
    """
    real = sounds.held_out_distance_db
    if len(real) < FEWEST_HELD_OUT or not np.median(real) > 0:
        why = (
            f"the limit is set by held-out recordings: {FEWEST_HELD_OUT} are needed, and there "
            f"{'is' if len(real) == 1 else 'are'} {len(real)}"
            if len(real) < FEWEST_HELD_OUT
            else "most held-out recordings are copies of training recordings, so there is no limit"
        )
        return unknown("memorisation", least, why)
    nearest, typical = sounds.nearest, float(np.median(real))
    limit = least
    if least is not None:
        limit = max(min(least, float(real.min()) / typical), _ALWAYS_A_COPY)
    return judged(
        "memorisation",
        nearest.distance_db / typical,
        limit,
        counts=f"{len(sounds.clips)} generated, {sounds.n_training} training clips",
        seed=nearest.seed,
        file=nearest.training_file,
        start_s=nearest.training_start_s,
    )


def coverage(sounds: GeneratedSounds, least: float | None) -> Gate:
    """Generated clips cover more training clips than one sound would that is always the same.

    The limit is that sound's coverage plus the share `least` of its distance to the coverage of a
    perfect model with as many clips.
    """
    support = sounds.support
    if support is None or _too_few(sounds):
        return unknown("coverage", least, _too_few(sounds))
    alone = expected_coverage(support.n_reference, 1, support.neighbours)
    limit = None if least is None else alone + least * (support.expected_coverage - alone)
    counts = (
        f"of {support.n_reference} training clips, by {support.n_generated} generated ones; "
        f"{support.expected_coverage:.2f} is expected of a perfect model, {alone:.2f} of one sound"
    )
    return judged("coverage", support.coverage, limit, counts=counts)


def diversity(sounds: GeneratedSounds, least: float | None) -> Gate:
    """The Vendi score of generated clips relative to that of as many training clips.

    The value is (V - 1) / (V_training - 1): 0 if all sounds are the same, 1 if they differ as much
    as recordings do.
    """
    if _too_few(sounds):
        return unknown("diversity", least, _too_few(sounds))
    beyond_one = sounds.vendi_training - 1
    if not beyond_one > 1e-6:
        why = "the training clips do not differ among themselves: nothing to compare with"
        return unknown("diversity", least, why)
    counts = (
        f"Vendi score {sounds.vendi:.2f}, {sounds.vendi_training:.2f} of training clips, "
        f"{sounds.n_vendi} of each"
    )
    return judged("diversity", max(0.0, sounds.vendi - 1) / beyond_one, least, counts=counts)


def interpolation(sounds: GeneratedSounds, least: float | None) -> Gate:
    """The median smoothness between the codes of two held-out recordings is at least `least`."""
    known = [value for value in sounds.smoothness if math.isfinite(value)]
    if not known:
        why = (
            "the sound hardly changes between the codes of two recordings: nothing to check"
            if sounds.smoothness
            else "nothing to compare: two recordings that are held out are needed"
        )
        return unknown("interpolation", least, why)
    counts = f"{len(known)} pair{'s' if len(known) > 1 else ''}"
    return judged("interpolation", float(np.median(known)), least, counts=counts)


def _too_few(sounds: GeneratedSounds) -> str:
    """Why two sets cannot be compared; empty where they can."""
    of_training, generated = sounds.n_training, len(sounds.clips)
    if of_training >= FEWEST_TRAINING and generated >= FEWEST_GENERATED:
        return ""
    return (
        f"too few clips to compare: {of_training} of training ({FEWEST_TRAINING} are needed), "
        f"{generated} generated ({FEWEST_GENERATED} are needed)"
    )


GATES: dict[str, Callable[[GeneratedSounds, float | None], Gate]] = {
    "memorisation": memorisation,
    "coverage": coverage,
    "diversity": diversity,
    "interpolation": interpolation,
}
"""By the name of the gate; the limits are those of `timbrel.config.limits`."""
