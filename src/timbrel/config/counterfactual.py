"""Checks of counterfactual pairs against the rest of a training. Imports nothing heavy."""

from collections.abc import Iterator, Mapping
from typing import Any

from timbrel.config.schema import TrainConfig
from timbrel.errors import override_text


def has_pairs(augmentation: Mapping[str, Any]) -> bool:
    """Whether examples of this section are ever counterfactual pairs."""
    pairs = augmentation.get("counterfactual")
    probability = pairs.get("probability", 0.0) if isinstance(pairs, Mapping) else 0.0
    return isinstance(probability, int | float) and probability > 0


def counterfactual_problems(config: TrainConfig) -> Iterator[str]:
    """A line for every option that contradicts pairs, where `config` has pairs.

    The code is of the recording, the attributes of a batch are of the changed sound.
    """
    if not has_pairs(config.augmentation):
        return
    for key in ("frame_attributes", "clip_attributes"):
        if names := config.latent.get(key):
            yield (
                f"latent.{key}={override_text(names)}: the code of the recording would be ordered "
                "by what is measured of the changed sound; take latent=vae or "
                "augmentation.counterfactual.probability=0"
            )
