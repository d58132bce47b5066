"""Playback speed: pitch, times and spectrum move together, as on tape."""

import numpy as np
import soxr

from timbrel.data.augmentation.change import Audio, Change, Changed
from timbrel.data.augmentation.settings import check_probability
from timbrel.errors import UserError


class Varispeed:
    """Another playback speed, drawn log-uniformly within `octaves` of 1, by resampling (soxr MQ).

    A change by the factor s multiplies f0 by s and divides all durations by s.
    """

    heavy = False

    def __init__(self, *, octaves: float, probability: float = 1.0) -> None:
        if not 0 < octaves <= 2:
            raise UserError(f"Varispeed: octaves={octaves} must be above 0 and at most 2")
        self.octaves = octaves
        self.max_speed = 2.0**octaves
        self.probability = check_probability("Varispeed", probability)

    def __call__(self, audio: Audio, rate_hz: int, rng: np.random.Generator) -> Changed:
        """The audio at a drawn speed: `time / speed` samples."""
        speed = 2.0 ** rng.uniform(-self.octaves, self.octaves)
        changed = soxr.resample(audio.T, speed, 1.0, quality="MQ").T
        return Changed(
            np.ascontiguousarray(changed, dtype=np.float32),
            Change(f0_ratio=speed, time_ratio=1 / speed),
        )
