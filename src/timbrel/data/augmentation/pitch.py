"""Pitch without duration, duration without pitch (Signalsmith Stretch, through python_stretch).

The stretcher keeps transients within a millisecond and moves pitch to within about 5 cents of what
it is told. It works on any number of channels together, so that a stereo image stays whole.
"""

import numpy as np

from timbrel.data.augmentation.change import Audio, Change, Changed
from timbrel.data.augmentation.settings import check_probability, check_range
from timbrel.errors import UserError


class PitchShift:
    """Another pitch, uniform within `semitones` either way; durations stay."""

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
        changed = _stretched(audio, rate_hz, semitones=semitones)
        return Changed(changed, Change(f0_ratio=2 ** (semitones / 12)))


class TimeStretch:
    """Another tempo, log-uniform between `min_rate` and `max_rate`; pitch stays.

    At rate 1.1 all is over after 1/1.1 of the time.
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
        return Changed(_stretched(audio, rate_hz, rate=rate), Change(time_ratio=1 / rate))


_SLACK = 1e-3  # the stretcher rounds lengths its own way
_LEAST_SAMPLES = 2048  # below one block of the stretcher there is no pitch to speak of


def _stretched(audio: Audio, rate_hz: int, *, semitones: float = 0.0, rate: float = 1.0) -> Audio:
    from python_stretch import Signalsmith

    samples = audio.shape[1]
    if samples < _LEAST_SAMPLES:
        audio = np.pad(audio, ((0, 0), (0, _LEAST_SAMPLES - samples)))
    stretch = Signalsmith.Stretch()
    stretch.preset(len(audio), rate_hz)
    stretch.setTransposeSemitones(semitones)
    stretch.setTimeFactor(rate)
    changed = np.asarray(stretch.process(np.ascontiguousarray(audio, np.float32)))
    return np.ascontiguousarray(changed[:, : int(np.ceil(samples / rate))], np.float32)
