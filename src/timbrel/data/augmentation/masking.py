"""Masks over time and frequency of what the encoder sees (SpecAugment, Park et al. 2019)."""

import numpy as np

from timbrel.data.augmentation.change import Audio
from timbrel.data.augmentation.colour import Values, filtered
from timbrel.data.augmentation.settings import check_probability
from timbrel.errors import UserError

_FADE_S = 0.002
_LOWEST_HZ = 50.0
_EDGE_OCTAVES = 0.125


class Mask:
    """Stretches of time and bands of frequency taken out of the encoder's input.

    The target stays whole: the model learns to infer what it does not hear. Of `time_masks` and
    `bands`, each is drawn uniformly: a stretch of up to `max_time_s`, a band of up to `max_octaves`
    between 50 Hz and half the rate. Differs from the paper: it works on the signal, before any
    front end. A stretch fades over 2 ms at both ends, a band over an eighth of an octave: a sharp
    edge would ring through all of the chunk.
    """

    def __init__(
        self,
        *,
        probability: float = 0.0,
        time_masks: int = 2,
        max_time_s: float = 0.1,
        bands: int = 2,
        max_octaves: float = 1.0,
    ) -> None:
        if min(time_masks, bands) < 0 or not (0 < max_time_s <= 60 and 0 < max_octaves <= 10):
            raise UserError(
                f"Mask: time_masks={time_masks} and bands={bands} must be at least 0, "
                f"max_time_s={max_time_s} above 0 and at most 60, max_octaves={max_octaves} above "
                "0 and at most 10"
            )
        self.probability = check_probability("Mask", probability)
        self.time_masks = time_masks
        self.max_time_s = max_time_s
        self.bands = bands
        self.max_octaves = max_octaves

    def __call__(self, audio: Audio, rate_hz: int, rng: np.random.Generator) -> Audio:
        """A new array of the same shape with parts missing."""
        samples = audio.shape[1]
        hidden = [self._band_hz(rate_hz, rng) for _ in range(self.bands)]

        def curve_db(frequency_hz: Values) -> Values:
            gain = np.prod([_band_stop(frequency_hz, low, high) for low, high in hidden], axis=0)
            return 20 * np.log10(np.maximum(gain, 1e-10))

        masked = filtered(audio, rate_hz, curve_db) if hidden else audio
        gains = np.ones(samples, np.float32)
        for _ in range(self.time_masks):
            length = min(round(rng.uniform(0, self.max_time_s) * rate_hz), samples)
            start = int(rng.integers(samples - length + 1))
            gains[start : start + length] *= _notch(length, round(_FADE_S * rate_hz))
        return masked * gains

    def _band_hz(self, rate_hz: int, rng: np.random.Generator) -> tuple[float, float]:
        octaves = rng.uniform(0, self.max_octaves)
        span = np.log2(rate_hz / 2 / _LOWEST_HZ) - octaves
        low_hz = _LOWEST_HZ * 2.0 ** rng.uniform(0, max(span, 0.0))
        return low_hz, low_hz * 2**octaves


def _band_stop(frequency_hz: Values, low_hz: float, high_hz: float) -> Values:
    """Ones, and zeros from `low_hz` to `high_hz` but for the edges within."""
    from_low = np.log2(np.maximum(frequency_hz, 1e-3) / low_hz)
    inside = np.minimum(from_low, np.log2(high_hz / low_hz) - from_low)
    edge = min(_EDGE_OCTAVES, np.log2(high_hz / low_hz) / 4) + 1e-9
    return 0.5 + 0.5 * np.cos(np.pi * np.clip(inside / edge, 0, 1))


def _notch(length: int, fade: int) -> Audio:
    """Zeros, with half a raised cosine down at the beginning and up at the end."""
    fade = min(fade, length // 2)
    down = 0.5 * (1 + np.cos(np.pi * np.arange(1, fade + 1) / (fade + 1)))
    return np.concatenate([down, np.zeros(length - 2 * fade), down[::-1]]).astype(np.float32)
