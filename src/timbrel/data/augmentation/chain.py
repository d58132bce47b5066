"""Transforms by name, one after the other."""

import math
from collections.abc import Mapping

import numpy as np

from timbrel.data.augmentation.change import UNCHANGED, Audio, Changed, Transform
from timbrel.errors import UserError

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


def used_transforms(key: str, transforms: Mapping[str, Transform | None]) -> dict[str, Transform]:
    """Those that are ever applied. Raises UserError where one of `key` cannot be a transform."""
    if not isinstance(transforms, Mapping):
        raise UserError(f"{key}: a mapping by name, such as gain: {{...}}, not a list")
    for name, part in transforms.items():
        check_part(f"{key}.{name}", part)
        lacking = [attribute for attribute in _ATTRIBUTES if not hasattr(part, attribute)]
        if part is not None and lacking:
            raise UserError(
                f"{key}.{name}: {type(part).__name__} has no {' and no '.join(lacking)}"
            )
    return {name: t for name, t in transforms.items() if t is not None and t.probability > 0}


def check_part(key: str, part: object) -> None:
    """A part of an augmentation was built, or left out. Raises UserError for a plain value."""
    if part is not None and not callable(part):
        raise UserError(
            f"{key}={part}: give its keys, such as {key}.probability=0.5, or null to leave it out"
        )
