"""The augmentation of a training: transforms by name, what is rendered ahead, what stays live.

Nothing here clips or normalises: samples beyond +-1 stay as they are, in float32, and reach the
model so. For head room, give `Gain` a `max_db` of 0 or less.
"""

import math
from collections.abc import Mapping

import numpy as np

from timbrel.data.augmentation.change import UNCHANGED, Audio, Changed, Transform
from timbrel.data.augmentation.masking import Mask
from timbrel.data.augmentation.mixing import Mix
from timbrel.errors import UserError

MOST_EXPANSION = 1000  # beyond it, planning alone would fill the memory


_ATTRIBUTES = ("probability", "heavy", "max_speed")  # of a Transform


class Chain:
    """Transforms, one after the other, each with its own probability and its own generator.

    One switched off moves no draw of those before it. Audio `max_speed` times longer than what is
    wanted stays long enough: cut the rest.
    """

    def __init__(self, transforms: Mapping[str, Transform]) -> None:
        self.transforms = dict(transforms)
        self.max_speed = math.prod(t.max_speed for t in transforms.values())

    def __call__(self, audio: Audio, rate_hz: int, rng: np.random.Generator) -> Changed:
        """The changed audio. Raises `ValueError` where a transform breaks shape or type."""
        change = UNCHANGED
        generators = rng.spawn(len(self.transforms))
        for (name, transform), own in zip(self.transforms.items(), generators, strict=True):
            if own.random() >= transform.probability:
                continue
            changed = transform(audio, rate_hz, own)
            shortest = math.floor(audio.shape[1] / transform.max_speed)
            fits = changed.audio.shape[0] == len(audio) and changed.audio.shape[1] >= shortest
            if not fits or changed.audio.dtype != np.float32:
                raise ValueError(
                    f"{name}: {type(transform).__name__} made {changed.audio.dtype} "
                    f"{changed.audio.shape} of float32 {audio.shape}"
                )
            audio, change = changed.audio, change.then(changed.change)
        return Changed(audio, change)


class Augment:
    """What happens to training audio, in this order: heavy transforms, light ones, mix, mask.

    `transforms` go by name, so that one of them is an override away; null leaves one out. With
    `expansion` above 0 the heavy ones are rendered that many times per recording before training
    (`ahead`), and only the others stay `live`; with 0 all are live. `mix` adds another recording to
    some examples, `mask` hides parts from the encoder, never from the target.

    Raises:
        UserError: a list of transforms, or a plain value for a part; an `expansion` below 0 or
            above 1000, or one with nothing to render.
    """

    def __init__(
        self,
        *,
        transforms: Mapping[str, Transform | None],
        mix: Mix | None = None,
        mask: Mask | None = None,
        expansion: int = 0,
    ) -> None:
        if not isinstance(transforms, Mapping):
            raise UserError(
                "augmentation.transforms: a mapping by name, such as gain: {...}, not a list"
            )
        parts = {f"transforms.{name}": part for name, part in transforms.items()}
        for name, part in (parts | {"mix": mix, "mask": mask}).items():
            if part is not None and not callable(part):
                raise UserError(
                    f"augmentation.{name}={part}: give its keys, such as "
                    f"augmentation.{name}.probability=0.5, or null to leave it out"
                )
        for name, part in transforms.items():
            lacking = [key for key in _ATTRIBUTES if not hasattr(part, key)]
            if part is not None and lacking:
                raise UserError(
                    f"augmentation.transforms.{name}: {type(part).__name__} has no "
                    f"{' and no '.join(lacking)}"
                )
        used = {name: t for name, t in transforms.items() if t is not None and t.probability > 0}
        heavy = {name: transform for name, transform in used.items() if transform.heavy}
        light = {name: transform for name, transform in used.items() if not transform.heavy}
        if not 0 <= expansion <= MOST_EXPANSION:
            raise UserError(
                f"augmentation.expansion={expansion}: give 0 (none) to {MOST_EXPANSION} variants"
            )
        if expansion and not heavy:
            raise UserError(
                f"augmentation.expansion={expansion}: nothing in this augmentation is worth "
                "rendering ahead; leave it out, or take augmentation=strong"
            )
        self.expansion = expansion
        self.ahead = Chain(heavy if expansion else {})
        self.live = Chain(light if expansion else heavy | light)
        self.mix = mix if mix is not None and mix.probability > 0 else None
        self.mask = mask if mask is not None and mask.probability > 0 else None
