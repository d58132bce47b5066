"""Room and compression, by pedalboard (GPL-3, an extra: timbrel[rooms])."""

import math
from types import ModuleType

import numpy as np

from timbrel.data.augmentation.change import Audio, Changed
from timbrel.data.augmentation.level import rms
from timbrel.data.augmentation.settings import check_probability, check_range
from timbrel.errors import UserError


class Room:
    """A reverberant room around the sound, its level at `min_db` to `max_db` of the sound's (RMS).

    Size and damping are drawn. Pitch and times stay, but the sound dies away as the room does: how
    long that takes must be measured again.
    """

    heavy = True
    max_speed = 1.0

    def __init__(
        self, *, min_db: float = -24.0, max_db: float = -6.0, probability: float = 1.0
    ) -> None:
        check_range("Room", "db", min_db, max_db)
        self.min_db = min_db
        self.max_db = max_db
        self.probability = check_probability("Room", probability)

    def __call__(self, audio: Audio, rate_hz: int, rng: np.random.Generator) -> Changed:
        """The audio and its room."""
        size, damping = rng.uniform(0.1, 0.9), rng.uniform(0.1, 0.9)
        gain_db = rng.uniform(self.min_db, self.max_db)
        effect = _pedalboard("Room").Reverb(
            room_size=size, damping=damping, wet_level=1.0, dry_level=0.0
        )
        wet = effect.process(audio, rate_hz, reset=True)
        level, own = rms(audio), rms(wet)
        if not (level and own):
            return Changed(audio)
        gain = np.float32(level / own * 10 ** (gain_db / 20))
        return Changed(audio + gain * wet)


class Compressor:
    """Peaks held down: a threshold of `min_db` to `max_db` below the peak, ratio 2 to 8.

    Attack and decay follow the level's new course and must be measured again.
    """

    heavy = True
    max_speed = 1.0

    def __init__(
        self, *, min_db: float = -30.0, max_db: float = -10.0, probability: float = 1.0
    ) -> None:
        check_range("Compressor", "db", min_db, max_db)
        self.min_db = min_db
        self.max_db = max_db
        self.probability = check_probability("Compressor", probability)

    def __call__(self, audio: Audio, rate_hz: int, rng: np.random.Generator) -> Changed:
        """The compressed audio, not made louder."""
        below_db, ratio = rng.uniform(self.min_db, self.max_db), rng.uniform(2.0, 8.0)
        attack_ms, release_ms = rng.uniform(1.0, 30.0), rng.uniform(50.0, 300.0)
        peak = float(np.abs(audio).max(initial=0.0))
        if not peak:
            return Changed(audio)
        effect = _pedalboard("Compressor").Compressor(
            threshold_db=20 * math.log10(peak) + below_db,
            ratio=ratio,
            attack_ms=attack_ms,
            release_ms=release_ms,
        )
        return Changed(effect.process(audio, rate_hz, reset=True))


def _pedalboard(transform: str) -> ModuleType:
    try:
        import pedalboard
    except ModuleNotFoundError as error:
        raise UserError(
            f"augmentation: {transform} needs pedalboard: pip install 'timbrel[rooms]' (GPL-3), or "
            "take augmentation=standard"
        ) from error
    return pedalboard
