"""Gates on what a model invents: no copies, not always the same, and no jumps between two sounds.

What coverage and Vendi score are expected to be depends on how many clips there are: limits and
values are relative to what a perfect generator, and training clips themselves, would get.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np

from timbrel.analysis.gates import WEAKER_PENALTY, Gate
from timbrel.analysis.generated_sounds import GeneratedSounds
from timbrel.metrics.diversity import expected_coverage

FEWEST_HELD_OUT, FEWEST_TRAINING, FEWEST_GENERATED = 3, 8, 8
"""Clips below which a gate says that it does not know."""

_ALWAYS_A_COPY = 0.02


def generation_gates(sounds: GeneratedSounds | None, limits: Mapping[str, float]) -> list[Gate]:
    """Every gate of this module; `limits` holds one for each by its name."""
    if sounds is None:
        why = "nothing to measure: all training clips are silent, or no generated sound is finite"
        return [Gate(name, math.nan, limits[name], None, why) for name in GATES]
    return [gate(sounds, limits[name]) for name, gate in GATES.items()]


def memorisation(sounds: GeneratedSounds, least: float) -> Gate:
    """The generated clip nearest to a training clip is not much nearer than held-out recordings.

    Its distance over the median of theirs is at least `least`, or above the smallest of theirs, as
    a data set may hold twins; but never below 0.02. A copy in all but level or order scores 0. Not
    caught: what the model plays by heart, but so coarsely that any recording is nearer.
    """
    name = "memorisation"
    real = sounds.held_out_distance_db
    if len(real) < FEWEST_HELD_OUT or not np.median(real) > 0:
        why = (
            f"held-out recordings of their own tell how near a new sound may come: it takes "
            f"{FEWEST_HELD_OUT}, and there {'is' if len(real) == 1 else 'are'} {len(real)}"
            if len(real) < FEWEST_HELD_OUT
            else "most held-out recordings are copies of training recordings: nothing to judge by"
        )
        return Gate(name, math.nan, least, None, why)
    nearest, typical = sounds.nearest, float(np.median(real))
    value = nearest.distance_db / typical
    limit = max(min(least, float(real.min()) / typical), _ALWAYS_A_COPY)
    counts = f"{len(sounds.clips)} generated, {sounds.n_training} training clips"
    if value >= limit:
        good = f"no generated sound is a copy of a training clip ({counts})"
        return Gate(name, value, limit, True, good)
    meaning = (
        f"the generated sound of seed {nearest.seed} nearly is '{nearest.training_file}' at "
        f"{nearest.training_start_s:.2f} s ({counts}): compare them in audio/generated, and before "
        "you share sounds of this model, train it shorter, on more recordings, with "
        "augmentation=standard or strong, or with a stronger penalty (latent=...)"
    )
    return Gate(name, value, limit, False, meaning)


def coverage(sounds: GeneratedSounds, least: float) -> Gate:
    """Generated clips reach more training clips than one sound would, over and over.

    The limit lies `least` of the way from the coverage of a single sound to that of a perfect model
    with as many clips.
    """
    name = "coverage"
    support = sounds.support
    if support is None or _too_few(sounds):
        return Gate(name, math.nan, least, None, _too_few(sounds))
    alone = expected_coverage(support.n_reference, 1, support.neighbours)
    value, limit = support.coverage, alone + least * (support.expected_coverage - alone)
    counts = (
        f"of {support.n_reference} training clips, by {support.n_generated} generated ones; "
        f"{support.expected_coverage:.2f} is expected of a perfect model, {alone:.2f} of one sound"
    )
    if value >= limit:
        return Gate(name, value, limit, True, f"generated sounds reach a share {counts}")
    meaning = (
        f"generated sounds lie near few recordings (share {counts}): the prior does not sound "
        "like them; train longer, or, where the code has not collapsed, raise the penalty "
        "(latent.weights.kl), so that it fits the prior; source=file stays as good as the "
        "reconstructions"
    )
    return Gate(name, value, limit, False, meaning)


def diversity(sounds: GeneratedSounds, least: float) -> Gate:
    """The Vendi score of generated clips over that of as many training clips, both above 1.

    That is (V - 1) / (V_training - 1): 0 where all sounds are one, 1 where they differ as
    recordings do.
    """
    name = "diversity"
    if _too_few(sounds):
        return Gate(name, math.nan, least, None, _too_few(sounds))
    beyond_one = sounds.vendi_training - 1
    if not beyond_one > 1e-6:
        why = "the training clips do not differ among themselves: nothing to compare with"
        return Gate(name, math.nan, least, None, why)
    value = max(0.0, sounds.vendi - 1) / beyond_one
    counts = (
        f"Vendi score {sounds.vendi:.2f}, {sounds.vendi_training:.2f} of training clips, "
        f"{sounds.n_vendi} of each"
    )
    if value >= least:
        return Gate(
            name, value, least, True, f"generated sounds differ from one another ({counts})"
        )
    meaning = (
        f"generated sounds are nearly all the same ({counts}): where the code has collapsed too, "
        f"{WEAKER_PENALTY}, else train longer"
    )
    return Gate(name, value, least, False, meaning)


def interpolation(sounds: GeneratedSounds, least: float) -> Gate:
    """The median smoothness of ways between two held-out recordings' codes is at least `least`."""
    name = "interpolation"
    known = [value for value in sounds.smoothness if math.isfinite(value)]
    if not known:
        why = (
            "between two recordings' codes the sound hardly changes: nothing to judge"
            if sounds.smoothness
            else "nothing to compare: it takes two recordings that are held out"
        )
        return Gate(name, math.nan, least, None, why)
    value = float(np.median(known))
    counts = f"{len(known)} pair{'s' if len(known) > 1 else ''}"
    if value >= least:
        good = f"between two recordings the sound moves evenly ({counts}; 1: equal steps)"
        return Gate(name, value, least, True, good)
    meaning = (
        f"between two recordings the sound jumps ({counts}; 0: in one step): a slider would have "
        "two positions; raise the penalty (latent=vae or beta_vae), or train on more recordings"
    )
    return Gate(name, value, least, False, meaning)


def _too_few(sounds: GeneratedSounds) -> str:
    """Why two sets cannot be compared; empty where they can."""
    of_training, generated = sounds.n_training, len(sounds.clips)
    if of_training >= FEWEST_TRAINING and generated >= FEWEST_GENERATED:
        return ""
    return (
        f"too few clips to say: {of_training} of training (it takes {FEWEST_TRAINING}), "
        f"{generated} generated (it takes {FEWEST_GENERATED})"
    )


GATES: dict[str, Callable[[GeneratedSounds, float], Gate]] = {
    "memorisation": memorisation,
    "coverage": coverage,
    "diversity": diversity,
    "interpolation": interpolation,
}
"""By the name of the gate, which is that of its limit under `evaluate`."""
