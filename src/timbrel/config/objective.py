"""Checks of the latent option and of every loss weight. Imports nothing heavy."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from timbrel.config.schema import TrainConfig
from timbrel.errors import override_text

_GAUSSIAN = "timbrel.models.posteriors.GaussianPosterior"
_POINT = "timbrel.models.posteriors.PointPosterior"
_PENALTIES = "timbrel.losses.latent."
_RATELESS = "timbrel.losses.latent.MMD"  # the only penalty that works without a variance
_COMPARING = ("AttributeOrder", "BetaTC", "DIP", "FactorVAE", "MMD")  # clips with other clips
_CONTROLLER = "timbrel.losses.control.TargetRate"


def objective_problems(config: TrainConfig) -> Iterator[str]:
    """A line for every mistake in `config.latent` and in the weights."""
    yield from _latent(config)
    for section in ("loss", "latent"):
        yield from _weights(getattr(config, section).get("weights", {}), f"{section}.weights")
    yield from _adversaries(config.loss.get("adversaries", {}))


def _latent(config: TrainConfig) -> Iterator[str]:
    latent, architecture = config.latent, config.architecture
    dropout = latent.get("dropout", 0.0)
    if not isinstance(dropout, int | float) or not 0 <= dropout < 1:
        yield f"latent.dropout={override_text(dropout)}: a probability, from 0 to below 1"
    for key, width in (("frame_attributes", "latent_dim"), ("clip_attributes", "clip_dim")):
        names, room = latent.get(key, []), architecture.get(width)
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            yield (
                f"latent.{key}={override_text(names)}: a list such as [log_f0_octaves], or [] for "
                "none"
            )
        elif not isinstance(room, int):
            continue  # an architecture of the user's own: the penalty checks the code it gets
        elif room < 0:
            yield f"architecture.{width}={room}: 0 or more"
        elif len(names) > room:
            yield (
                f"latent.{key}={override_text(names)}: each needs a dimension, and architecture."
                f"{width}={room}; name fewer, or take architecture.{width}={len(names)}"
            )
    for key in ("posterior", "penalty"):
        if key in latent and not _target(latent[key]):
            yield f"latent.{key}={override_text(latent[key])}: a mapping with a _target_"
    posterior, penalty = (_target(latent.get(key)) for key in ("posterior", "penalty"))
    yield from _others(penalty, latent, config.trainer.batch_size)
    if posterior != _POINT:
        return
    way_out = "take latent=wae_mmd, or latent.posterior._target_=" + _GAUSSIAN
    if penalty.startswith(_PENALTIES) and penalty != _RATELESS:
        name = penalty.rpartition(".")[2]
        yield (
            f"latent.penalty: {name} needs a KL, and a deterministic posterior has none; {way_out}"
        )
    weights = latent.get("weights")
    for name in weights if isinstance(weights, Mapping) else ():
        if _target(weights[name]) == _CONTROLLER:
            yield (
                f"latent.weights.{name}: its target is a KL, and a deterministic posterior has "
                f"none; {way_out}"
            )


def _others(penalty: str, latent: Mapping[str, Any], batch_size: int) -> Iterator[str]:
    """A penalty that compares clips needs more than one."""
    name = penalty.removeprefix(_PENALTIES)
    if name not in _COMPARING or batch_size != 1 or latent["penalty"].get("queue_rows"):
        return
    queue = ", or latent.penalty.queue_rows=24" if "queue_rows" in latent["penalty"] else ""
    yield f"trainer.batch_size=1: {name} compares clips with one another; take 2 or more{queue}"


def _weights(weights: Any, where: str) -> Iterator[str]:
    if not isinstance(weights, Mapping):
        yield f"{where}={override_text(weights)}: a mapping from term to weight"
        return
    for name, weight in weights.items():
        key = f"{where}.{name}"
        if where != "latent.weights" and _target(weight) == _CONTROLLER:
            yield (
                f"{key}: TargetRate sets the weight of a term that lowers the KL, such as "
                "latent.weights.kl"
            )
        number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not _target(weight) and not (number and math.isfinite(weight)):
            yield (
                f"{key}={override_text(weight)}: expected a number (0 switches the term off), "
                "or a mapping with a _target_"
            )


def _adversaries(adversaries: Any) -> Iterator[str]:
    """Each has an `adversary`, a mapping with a `_target_`, and the `weights` of its terms."""
    if not isinstance(adversaries, Mapping):
        yield f"loss.adversaries={override_text(adversaries)}: a mapping from name to adversary"
        return
    for name, section in adversaries.items():
        where = f"loss.adversaries.{name}"
        if not str(name).isidentifier():
            yield f"{where}: a name is letters, digits and underscores, and begins with a letter"
        if not isinstance(section, Mapping) or section.keys() != {"adversary", "weights"}:
            yield f"{where}: a mapping with the two keys adversary and weights"
            continue
        if not _target(section["adversary"]):
            yield (
                f"{where}.adversary={override_text(section['adversary'])}: a mapping with a "
                "_target_"
            )
        yield from _weights(section["weights"], f"{where}.weights")


def _target(node: Any) -> str:
    return str(node.get("_target_", "")) if isinstance(node, Mapping) else ""
