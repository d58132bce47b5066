"""Pitch without duration, duration without pitch (Signalsmith Stretch, through python_stretch).

The stretcher keeps f0 to a hundredth of a cent, and a transient's place to a millisecond or two. It
works on any number of channels together, so that a stereo image stays whole. Beyond twice the
length it draws phases, by a seed from the transform's generator.
"""

import numpy as np
import soxr

from timbrel.data.augmentation.change import Audio, Change, Changed
from timbrel.data.augmentation.settings import check_probability, check_range
from timbrel.errors import UserError

_SLACK = 1e-3  # lengths are rounded: a chunk must not end up a sample short


class PitchShift:
    """Another pitch, uniform within `semitones` either way; durations stay.

    The sound is stretched by a factor and played that much faster, which is exact. The stretcher's
    own transposition missed its target by up to 55 cents at 40 Hz, 20 at 110 Hz, 3 at 440 Hz.
    """

    heavy = True
    max_speed = 1.0

    def __init__(self, *, semitones: float = 2.0, probability: float = 1.0) -> None:
        if not 0 < semitones <= 24:
            raise UserError(f"PitchShift: semitones={semitones} must be above 0 and at most 24")
        self.semitones = semitones
        self.probability = check_probability("PitchShift", probability)

    def __call__(self, audio: Audio, rate_hz: int, rng: np.random.Generator) -> Changed:
        """The audio `s` semitones higher: f0 is multiplied by 2^(s/12)."""
        semitones = rng.uniform(-self.semitones, self.semitones)
        factor = 2 ** (semitones / 12)
        longer = _stretched(audio, rate_hz, 1 / factor, rng)
        moved = soxr.resample(longer.T, factor, 1.0, quality="HQ").T
        # Two lengths were rounded: a sample may be missing, or be one too many.
        moved = moved[:, : audio.shape[1]]
        moved = np.pad(moved, ((0, 0), (0, audio.shape[1] - moved.shape[1])))
        return Changed(np.ascontiguousarray(moved, np.float32), Change(f0_ratio=factor))


class TimeStretch:
    """Another tempo, log-uniform between `min_rate` and `max_rate`; pitch stays.

    At rate 1.1 the duration is divided by 1.1.
    """

    heavy = True

    def __init__(
        self, *, min_rate: float = 0.9, max_rate: float = 1.1, probability: float = 1.0
    ) -> None:
        check_range("TimeStretch", "rate", min_rate, max_rate)
        if not (min_rate >= 0.25 and max_rate <= 4):
            raise UserError(
                f"TimeStretch: min_rate={min_rate}, max_rate={max_rate}: from 0.25 to 4 is possible"
            )
        self.min_rate = min_rate
        self.max_rate = max_rate
        self.max_speed = max(1.0, max_rate) * (1 + _SLACK)
        self.probability = check_probability("TimeStretch", probability)

    def __call__(self, audio: Audio, rate_hz: int, rng: np.random.Generator) -> Changed:
        """The audio at a drawn rate: `time / rate` samples."""
        rate = float(np.exp(rng.uniform(np.log(self.min_rate), np.log(self.max_rate))))
        return Changed(_stretched(audio, rate_hz, rate, rng), Change(time_ratio=1 / rate))


def _stretched(audio: Audio, rate_hz: int, rate: float, rng: np.random.Generator) -> Audio:
    """The audio in `1 / rate` of its time, to the nearest sample."""
    from python_stretch import Signalsmith

    stretch = Signalsmith.Stretch(int(rng.integers(1 << 31)))
    stretch.preset(len(audio), rate_hz)
    stretch.setTimeFactor(rate)
    # Half a block of what would go on at both ends: without it the last 30 ms fade.
    beyond = stretch.blockSamples() // 2
    longer = np.pad(audio, ((0, 0), (beyond, beyond)), mode="reflect")
    changed = np.asarray(stretch.process(np.ascontiguousarray(longer, np.float32)))
    first, samples = round(beyond / rate), round(audio.shape[1] / rate)
    return np.ascontiguousarray(changed[:, first : first + samples])
