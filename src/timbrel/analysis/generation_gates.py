"""Gates on what a model invents: no copies, not always the same, and no jumps between two sounds.

What coverage and Vendi score are expected to be depends on how many clips there are: limits and
values are relative to what a perfect generator, and training clips themselves, would get.
"""

import math
from collections.abc import Callable

import numpy as np

from timbrel.analysis.gates import Gate, judged, unknown
from timbrel.analysis.generated_sounds import GeneratedSounds
from timbrel.config.limits import LIMITS, ByKey
from timbrel.metrics.diversity import expected_coverage

FEWEST_HELD_OUT, FEWEST_TRAINING, FEWEST_GENERATED = 3, 8, 8
"""Clips below which a gate says that it does not know."""

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

    Its distance over the median of theirs is at least `least`, or above the smallest of theirs, as
    a data set may hold twins; but never below 0.02. A copy in all but level or order scores 0. Not
    caught: what the model plays by heart, but so coarsely that any recording is nearer.
    """
    real = sounds.held_out_distance_db
    if len(real) < FEWEST_HELD_OUT or not np.median(real) > 0:
        why = (
            f"held-out recordings of their own tell how near a new sound may come: it takes "
            f"{FEWEST_HELD_OUT}, and there {'is' if len(real) == 1 else 'are'} {len(real)}"
            if len(real) < FEWEST_HELD_OUT
            else "most held-out recordings are copies of training recordings: nothing to judge by"
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
    """Generated clips reach more training clips than one sound would, over and over.

    The limit lies `least` of the way from the coverage of a single sound to that of a perfect model
    with as many clips.
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
    """The Vendi score of generated clips over that of as many training clips, both above 1.

    That is (V - 1) / (V_training - 1): 0 where all sounds are one, 1 where they differ as
    recordings do.
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
    """The median smoothness of ways between two held-out recordings' codes is at least `least`."""
    known = [value for value in sounds.smoothness if math.isfinite(value)]
    if not known:
        why = (
            "between two recordings' codes the sound hardly changes: nothing to judge"
            if sounds.smoothness
            else "nothing to compare: it takes two recordings that are held out"
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
        f"too few clips to say: {of_training} of training (it takes {FEWEST_TRAINING}), "
        f"{generated} generated (it takes {FEWEST_GENERATED})"
    )


GATES: dict[str, Callable[[GeneratedSounds, float | None], Gate]] = {
    "memorisation": memorisation,
    "coverage": coverage,
    "diversity": diversity,
    "interpolation": interpolation,
}
"""By the name of the gate; the limits are those of `timbrel.config.limits`."""
