"""Two recordings at once."""

import math

import numpy as np

from timbrel.data.augmentation.change import Audio, Change, Changed
from timbrel.data.augmentation.level import rms
from timbrel.data.augmentation.settings import check_probability, check_range


class Mix:
    """Another recording below the first one, at `min_db` to `max_db` of relative level (RMS).

    The model then learns sums of sounds too. Of a sum no f0 is known.
    """

    def __init__(
        self, *, probability: float = 0.0, min_db: float = -12.0, max_db: float = 0.0
    ) -> None:
        check_range("Mix", "db", min_db, max_db)
        self.probability = check_probability("Mix", probability)
        self.min_db = min_db
        self.max_db = max_db

    def __call__(self, audio: Audio, other: Audio, rng: np.random.Generator) -> Changed:
        """`audio` and `other` (at least as long) together; silence adds nothing."""
        other = other[:, : audio.shape[1]]
        level, other_level = rms(audio), rms(other)
        if not (level and other_level):
            return Changed(audio)
        gain = level / other_level * 10 ** (rng.uniform(self.min_db, self.max_db) / 20)
        return Changed(audio + np.float32(gain) * other, Change(f0_ratio=math.nan))
