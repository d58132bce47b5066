"""Gates on generated sounds: are they new, of the recordings' kind, and alive in time as those are?

Expected coverage and Vendi score depend on the number of clips: limits and values are relative to
those of a perfect generator, and of reconstructions. Gates on time compare with reconstructions,
too, and no limit is narrower than what chance reaches (`analysis.time_measures`).
"""

import math
from collections.abc import Callable

import numpy as np

from timbrel.analysis.gates import Gate, judged, unknown
from timbrel.analysis.generated_sounds import GeneratedSounds
from timbrel.analysis.time_measures import FEWEST, Against, TimeMeasures
from timbrel.config.limits import LIMITS, ByKey
from timbrel.metrics.diversity import expected_coverage

FEWEST_HELD_OUT, FEWEST_TRAINING, FEWEST_GENERATED = 3, FEWEST, FEWEST
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
    is that recording's distance, but never below 0.02. Distances are of sounds moment by moment,
    from their onsets on (`metrics.copies`): a copy that differs in level only scores 0. The gate
    misses a memorised sound that is decoded so coarsely that any other recording is nearer.
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
    few = sounds.n_training < FEWEST_TRAINING or len(sounds.clips) < FEWEST_GENERATED
    if support is None or few:
        return unknown("coverage", least, _too_few(sounds))
    alone = expected_coverage(support.n_reference, 1, support.neighbours)
    limit = None if least is None else alone + least * (support.expected_coverage - alone)
    counts = (
        f"of {support.n_reference} training clips, by {support.n_generated} generated ones; "
        f"{support.expected_coverage:.2f} is expected of a perfect model, {alone:.2f} of one sound"
    )
    return judged("coverage", support.coverage, limit, counts=counts)


def time_structure(sounds: GeneratedSounds, most: float | None) -> Gate:
    """The kernel distance of 13 numbers of how a sound goes on in time is at most `most`."""
    return _in_time("time_structure", sounds, most, lambda x: x.time_structure)


def two_sample(sounds: GeneratedSounds, most: float | None) -> Gate:
    """A classifier on the same numbers tells generated from reconstructed no better than this."""
    return _in_time("two_sample", sounds, most, lambda x: x.two_sample)


def endings(sounds: GeneratedSounds, most: float | None) -> Gate:
    """About as many generated sounds have ended, by their last 50 ms, as reconstructions have."""
    return _in_time("endings", sounds, most, lambda x: x.endings)


def rebound(sounds: GeneratedSounds, most: float | None) -> Gate:
    """Not many more generated sounds rise again after their peak than reconstructions do."""
    return _in_time("rebound", sounds, most, lambda x: x.rebound)


def coherence(sounds: GeneratedSounds, most: float | None) -> Gate:
    """Generated textures wander within themselves no more than so many times the recordings."""
    return _in_time("coherence", sounds, most, lambda x: x.coherence)


def diversity(sounds: GeneratedSounds, most: float | None) -> Gate:
    """The Vendi score is about that of as many reconstructions: neither lower nor higher.

    The value is |(V - 1) / (V_reconstructions - 1) - 1|: 1 if all sounds are the same, 0 if they
    differ as much as recordings do.
    """
    time = sounds.in_time
    if time is None:
        return unknown("diversity", most, _too_few(sounds))
    if time.diversity is None or not time.diversity.reference - 1 > 1e-6:
        why = "the recordings do not differ among themselves: nothing to compare with"
        return unknown("diversity", most, why)
    return _judged("diversity", time, abs(time.diversity.value - 1), time.diversity, most)


def _in_time(
    name: str,
    sounds: GeneratedSounds,
    most: float | None,
    measure: Callable[[TimeMeasures], Against | None],
) -> Gate:
    time = sounds.in_time
    if time is None:
        return unknown(name, most, _too_few(sounds))
    found = measure(time)
    if found is None:
        kind = "one-shots and notes" if time.events else "textures"
        return unknown(name, most, f"not asked of {kind}, as most of these recordings are")
    return _judged(name, time, found.value, found, most)


def _judged(
    name: str, time: TimeMeasures, value: float, found: Against, most: float | None
) -> Gate:
    """By `most`, or by what chance reaches where that is more."""
    limit = None if most is None else max(most, found.null)
    counts = f"{time.n_generated} generated, {time.n_reference} reconstructions"
    if math.isfinite(found.generated):
        counts += f"; {found.generated:.2f} and {found.reference:.2f}"
    return judged(name, value, limit, counts=f"{counts}; by chance up to {found.null:.2g}")


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
    """Why two sets cannot be compared, where they cannot."""
    of_training, generated = sounds.n_training, len(sounds.clips)
    return (
        f"too few clips to compare: {of_training} of training ({FEWEST_TRAINING} are needed), "
        f"{generated} generated ({FEWEST_GENERATED} are needed)"
    )


GATES: dict[str, Callable[[GeneratedSounds, float | None], Gate]] = {
    "memorisation": memorisation,
    "coverage": coverage,
    "diversity": diversity,
    "time_structure": time_structure,
    "two_sample": two_sample,
    "endings": endings,
    "rebound": rebound,
    "coherence": coherence,
    "interpolation": interpolation,
}
"""By the name of the gate; the limits are those of `timbrel.config.limits`."""
