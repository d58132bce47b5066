"""Level, its course, and polarity: neither pitch nor timbre nor time changes."""

import numpy as np

from timbrel.data.augmentation.change import Audio, Changed
from timbrel.data.augmentation.settings import check_probability, check_range
from timbrel.errors import UserError


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


class DecayRamp:
    """A gain that falls or rises exponentially from the first sample on: a shorter or longer decay.

    Its slope in dB per second is drawn uniformly within `max_db_per_s` either way; one that rises
    stays at `max_db` once it is there.
    """

    heavy = False
    max_speed = 1.0

    def __init__(
        self, *, max_db_per_s: float = 24.0, max_db: float = 12.0, probability: float = 1.0
    ) -> None:
        if not (0 < max_db_per_s <= 1000 and 0 <= max_db <= 60):
            raise UserError(
                f"DecayRamp: max_db_per_s={max_db_per_s} must be above 0 and at most 1000, "
                f"max_db={max_db} from 0 to 60"
            )
        self.max_db_per_s = max_db_per_s
        self.max_db = max_db
        self.probability = check_probability("DecayRamp", probability)

    def __call__(self, audio: Audio, rate_hz: int, rng: np.random.Generator) -> Changed:
        """The audio with the ramp, the same for all channels."""
        slope_db = rng.uniform(-self.max_db_per_s, self.max_db_per_s)
        gain_db = np.minimum(slope_db / rate_hz * np.arange(audio.shape[1]), self.max_db)
        return Changed(audio * (10 ** (gain_db / 20)).astype(np.float32))


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
