"""Counterfactual pairs: the encoder hears a recording, the decoder must give a changed version."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from timbrel.data.augmentation.chain import Chain, used_transforms
from timbrel.data.augmentation.change import Audio, Changed, Transform
from timbrel.data.augmentation.settings import check_probability
from timbrel.errors import UserError


class Counterfactual:
    """`transforms` of the target, and of the tracks measured of it, that the encoder never hears.

    For decoders that are given tracks (`contracts.TRACKS`) beside the code. What a transform
    changes is in the tracks alone, so the code cannot answer for it. `probability` is how often an
    example is such a pair. A transform that changes durations needs more input: `max_speed` times
    the target's length.

    Raises:
        UserError: a list of transforms, or a plain value for one; a probability above 0 with no
            transform that is ever applied.
    """

    def __init__(
        self, *, transforms: Mapping[str, Transform | None], probability: float = 0.0
    ) -> None:
        self.probability = check_probability("Counterfactual", probability)
        used = used_transforms("augmentation.counterfactual.transforms", transforms)
        if probability and not used:
            raise UserError(
                f"augmentation.counterfactual.probability={probability}: every transform is left "
                "out or has probability 0; give one of augmentation.counterfactual.transforms a "
                "probability, or take augmentation.counterfactual.probability=0"
            )
        self.chain = Chain(used)
        self.max_speed = self.chain.max_speed

    def version(self, audio: Audio, rate_hz: int, rng: np.random.Generator) -> Changed:
        """The target of what the encoder hears: in a pair the changed audio, else the same."""
        return self(audio, rate_hz, rng) if rng.random() < self.probability else Changed(audio)

    def __call__(self, audio: Audio, rate_hz: int, rng: np.random.Generator) -> Changed:
        """The changed audio, whose periodicity is to be measured again."""
        changed = self.chain(audio, rate_hz, rng)
        return replace(changed, change=replace(changed.change, keeps_periodicity=False))
