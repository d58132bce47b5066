"""Checks of a training's phases: starts, weights, parts, adversaries. Imports nothing heavy."""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from timbrel.config.schema import PhaseConfig, TrainConfig
from timbrel.errors import did_you_mean, override_text

_PARTS = ("encoder", "posterior", "decoder")  # of models.autoencoder.Autoencoder


def phase_problems(config: TrainConfig) -> Iterator[str]:
    """A line for every mistake in `config.phases`."""
    adversaries = _mapping(config.loss, "adversaries")
    terms = [*_mapping(config.loss, "weights"), *_mapping(config.latent, "weights")]
    of_adversaries = [
        f"{name}/{term}"
        for name, section in adversaries.items()
        for term in _mapping(section, "weights")
    ]
    names: list[str] = []
    for number, phase in enumerate(config.phases):
        where = f"phases.{phase.name or number}"
        if not phase.name or phase.name in names:
            yield f"{where}: a phase needs a name of its own, such as {{name:warm_up,...}}"
        names.append(phase.name)
        yield from _names(phase.train, _PARTS, f"{where}.train", "part of the model")
        if phase.train is not None and not phase.train:
            yield f"{where}.train=[]: nothing would learn; name parts, or leave it out for all"
        yield from _names(phase.adversaries, adversaries, f"{where}.adversaries", "adversary")
        yield from _weights(phase, [*terms, *of_adversaries], where)
    yield from _borders(config.phases, config.trainer.max_steps)


def _names(
    given: Sequence[str] | None, known: Collection[str], where: str, what: str
) -> Iterator[str]:
    for name in dict.fromkeys(given or ()):
        if name not in known:
            choices = ", ".join(known) or "there is none (loss.adversaries)"
            yield f"{where}: no {what} '{name}', only {choices}{did_you_mean(name, known)}"
        elif given is not None and list(given).count(name) > 1:
            yield f"{where}: '{name}' is given twice"


def _weights(phase: PhaseConfig, terms: Collection[str], where: str) -> Iterator[str]:
    for term, weight in phase.weights.items():
        adversary, _, of_adversary = term.partition("/")
        if term not in terms:
            yield (
                f"{where}.weights.{term}: no such term, only {', '.join(terms)}"
                f"{did_you_mean(term, terms)}"
            )
        elif of_adversary and phase.adversaries is not None and adversary not in phase.adversaries:
            yield f"{where}.weights.{term}: '{adversary}' is not used in this phase; leave it out"
        number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not number or not math.isfinite(weight):
            yield (
                f"{where}.weights.{term}={override_text(weight)}: expected a number "
                "(0 switches the term off)"
            )


def _borders(phases: Sequence[PhaseConfig], max_steps: int | None) -> Iterator[str]:
    """The first phase begins at step 0, later ones in order, all by step or all by share."""
    for number, phase in enumerate(phases):
        where = f"phases.{phase.name or number}"
        step, share = phase.from_step, phase.from_share
        if number == 0:
            if step or share:
                yield f"{where}: the first phase begins at step 0; leave out from_step, from_share"
        elif (step is None) == (share is None):
            yield f"{where}: give from_step or from_share, one of them, to say where it begins"
        elif step is not None and step < 1:
            yield f"{where}.from_step={step}: 1 or more"
        elif share is not None and not 0 < share < 1:
            yield f"{where}.from_share={share}: above 0 and below 1"
        elif step is not None and max_steps is not None and step >= max_steps:
            yield f"{where}.from_step={step}: never begins, with trainer.max_steps={max_steps}"
    later = phases[1:]
    shares = [phase.from_share for phase in later if phase.from_share is not None]
    steps = [phase.from_step for phase in later if phase.from_step is not None]
    if shares and steps:
        yield (
            "phases: some have from_step, some from_share; give the same key to all, so that "
            "their order is known"
        )
        return
    if max_steps is not None:
        steps = steps or [math.ceil(share * max_steps) for share in shares]
    for starts in (shares, steps):
        if any(after <= before for before, after in pairwise(starts)):
            yield "phases: each must begin after the one before it; order them, further apart"
            return


def _mapping(section: Any, key: str) -> Mapping[str, Any]:
    """The mapping `section[key]`, or {} if it is none (another check reports that)."""
    found = section.get(key, {}) if isinstance(section, Mapping) else {}
    return found if isinstance(found, Mapping) else {}
