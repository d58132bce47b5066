"""From `init_from=` to first weights: what `timbrel train` takes over, told on stderr."""

import sys
from pathlib import Path

from omegaconf import DictConfig

from timbrel.errors import UserError
from timbrel.library.bundle import load_bundle, load_weights
from timbrel.library.transfer import warm_start
from timbrel.models.autoencoder import Autoencoder
from timbrel.paths import user_path
from timbrel.training.checkpoint import resume_step
from timbrel.training.provenance import Parent, check_same_parent


def warm_started(config: DictConfig, model: Autoencoder) -> Parent | None:
    """Start `model` from the weights of `config.init_from`, and say which it took.

    None where there is no parent, and where a checkpoint holds the run's own weights: the parent
    may be gone by then. Raises UserError where the parent does not fit, or is no longer the one
    that the run began with.
    """
    if config.init_from is None:
        return None
    if config.run is not None and resume_step(user_path(config.run, "run")) is not None:
        return None
    weights = load_weights(config.init_from, key="init_from")
    parent = Parent(str(config.init_from), weights.card.name, weights.card.model_hash)
    if config.run is not None:
        check_same_parent(user_path(config.run, "run"), parent)
    first, *others = warm_start(model, weights).lines()
    lines = [f"init_from: {weights.card.name} ({weights.folder}): {first}"]
    others += _other_frames(weights.folder, model)
    sys.stderr.write("\n".join([*lines, *(f"      {line}" for line in others)]) + "\n")
    return parent


def _other_frames(folder: Path, model: Autoencoder) -> list[str]:
    """A note where the parent's frames were of another length.

    Nothing is known of a parent that would not open without trust: only its weights are read.
    """
    try:
        before = load_bundle(folder).model.hop_samples
    except UserError:
        return []
    if before == model.hop_samples:
        return []
    return [
        f"note: its frames were {before} samples long, not {model.hop_samples}: its weights fit, "
        "but were trained for frames of another length"
    ]
