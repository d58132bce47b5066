"""Room and compression, by pedalboard (GPL-3, an extra: timbrel[rooms]).

Both leave everything where it was in time, so the ratio of times stays 1; what they do to a decay
or an attack is measured on the result, as level and spectrum are. Both depend on the sound before:
they are best rendered ahead, on whole recordings, although they take only 1 to 3 ms per example.
"""

import math

import numpy as np

from timbrel.data.augmentation.change import Audio, Changed
from timbrel.data.augmentation.level import rms
from timbrel.data.augmentation.pedalboard_effect import needs_pedalboard
from timbrel.data.augmentation.settings import check_range


class Room:
    """A reverberant room around the sound, its level at `min_db` to `max_db` of the sound's (RMS).

    Size and damping are drawn. Every channel goes through the same room by itself: a sound on one
    side stays there, and channels in antiphase do not cancel.
    """

    heavy = True
    max_speed = 1.0

    def __init__(
        self, *, min_db: float = -24.0, max_db: float = -6.0, probability: float = 1.0
    ) -> None:
        check_range("Room", "db", min_db, max_db)
        self.min_db = min_db
        self.max_db = max_db
        self.probability = needs_pedalboard("Room", probability)

    def __call__(self, audio: Audio, rate_hz: int, rng: np.random.Generator) -> Changed:
        """The audio and its room."""
        size, damping = rng.uniform(0.1, 0.9), rng.uniform(0.1, 0.9)
        gain_db = rng.uniform(self.min_db, self.max_db)
        from pedalboard import Reverb

        effect = Reverb(room_size=size, damping=damping, wet_level=1.0, dry_level=0.0)
        wet: Audio = np.concatenate(
            [effect.process(one[None], rate_hz, reset=True) for one in audio]
        )
        level, own = rms(audio), rms(wet)
        if not (level and own):
            return Changed(audio)
        gain = np.float32(level / own * 10 ** (gain_db / 20))
        return Changed(audio + gain * wet)


class Compressor:
    """Peaks held down: a threshold of `min_db` to `max_db` below the peak, ratio 2 to 8.

    The loudest channel of every moment sets the gain of all, so that a stereo image stays in place.
    """

    heavy = True
    max_speed = 1.0

    def __init__(
        self, *, min_db: float = -30.0, max_db: float = -10.0, probability: float = 1.0
    ) -> None:
        check_range("Compressor", "db", min_db, max_db)
        self.min_db = min_db
        self.max_db = max_db
        self.probability = needs_pedalboard("Compressor", probability)

    def __call__(self, audio: Audio, rate_hz: int, rng: np.random.Generator) -> Changed:
        """The compressed audio, not made louder."""
        below_db, ratio = rng.uniform(self.min_db, self.max_db), rng.uniform(2.0, 8.0)
        attack_ms, release_ms = rng.uniform(1.0, 30.0), rng.uniform(50.0, 300.0)
        loudest = np.abs(audio).max(axis=0, keepdims=True)
        peak = float(loudest.max(initial=0.0))
        if not peak:
            return Changed(audio)
        from pedalboard import Compressor as Effect

        effect = Effect(
            threshold_db=20 * math.log10(peak) + below_db,
            ratio=ratio,
            attack_ms=attack_ms,
            release_ms=release_ms,
        )
        # The effect follows magnitudes, so that its gain can be read from how it treats them.
        gain = effect.process(loudest, rate_hz, reset=True)
        np.divide(gain, loudest, out=gain, where=loudest > 0)
        return Changed(audio * gain)
