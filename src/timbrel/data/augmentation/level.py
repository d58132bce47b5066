"""Level and polarity: neither pitch nor timbre nor time changes."""

import numpy as np

from timbrel.data.augmentation.change import Audio, Changed
from timbrel.data.augmentation.settings import check_probability, check_range


class Gain:
    """A level change in dB, uniform between `min_db` and `max_db`, the same for all channels."""

    heavy = False
    max_speed = 1.0

    def __init__(self, *, min_db: float, max_db: float, probability: float = 1.0) -> None:
        check_range("Gain", "db", min_db, max_db)
        self.min_db = min_db
        self.max_db = max_db
        self.probability = check_probability("Gain", probability)

    def __call__(self, audio: Audio, rate_hz: int, rng: np.random.Generator) -> Changed:
        """The audio times one drawn factor."""
        gain_db = rng.uniform(self.min_db, self.max_db)
        return Changed(audio * np.float32(10 ** (gain_db / 20)))


class Polarity:
    """Inverts the sign of all channels."""

    heavy = False
    max_speed = 1.0

    def __init__(self, *, probability: float = 0.5) -> None:
        self.probability = check_probability("Polarity", probability)

    def __call__(self, audio: Audio, rate_hz: int, rng: np.random.Generator) -> Changed:
        """The negative."""
        return Changed(-audio)


def rms(audio: Audio) -> float:
    """The root of the mean power of all channels."""
    return float(np.sqrt(np.mean(np.square(audio, dtype=np.float64))))
