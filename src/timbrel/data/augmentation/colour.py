"""Spectral colour: equaliser, filters, tilt. Pitch and times stay; timbre is measured again."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from timbrel.data.augmentation.change import Audio, Changed
from timbrel.data.augmentation.settings import check_probability, check_range
from timbrel.errors import UserError

_LOWEST_HZ = 60.0
_HIGHEST_HZ = 16_000.0
_CENTRE_HZ = 1000.0
Values = NDArray[np.float64]
Curve = Callable[[Values], Values]


class Equaliser:
    """A smooth random curve of gain over frequency, zero phase.

    Bands `octaves` apart, from 60 Hz to half the rate, each have a gain drawn uniformly within
    `max_db` either way; between them the gain in dB follows a raised cosine over log frequency, so
    that at its centre a band has exactly what was drawn. A short sound's beginning is smeared by
    less than the period of the lowest band.
    """

    heavy = False
    max_speed = 1.0

    def __init__(
        self, *, max_db: float = 6.0, octaves: float = 1.5, probability: float = 1.0
    ) -> None:
        if not (0 < max_db <= 60 and 0.25 <= octaves <= 8):
            raise UserError(
                f"Equaliser: max_db={max_db} must be above 0 and at most 60, octaves={octaves} "
                "from 0.25 to 8"
            )
        self.max_db = max_db
        self.octaves = octaves
        self.probability = check_probability("Equaliser", probability)

    def __call__(self, audio: Audio, rate_hz: int, rng: np.random.Generator) -> Changed:
        """The coloured audio."""
        bands = int(np.log2(rate_hz / 2 / _LOWEST_HZ) / self.octaves) + 1
        gains_db = rng.uniform(-self.max_db, self.max_db, size=bands)
        return Changed(filtered(audio, rate_hz, lambda hz: self._curve_db(hz, gains_db)))

    def _curve_db(self, frequency_hz: Values, gains_db: Values) -> Values:
        place = np.log2(np.maximum(frequency_hz, 1e-3) / _LOWEST_HZ) / self.octaves
        place = np.clip(place, 0, len(gains_db) - 1)
        below = np.minimum(place.astype(int), len(gains_db) - 2)
        weight = 0.5 - 0.5 * np.cos(np.pi * (place - below))
        return (1 - weight) * gains_db[below] + weight * gains_db[below + 1]


class Filter:
    """A low-pass or a high-pass, either as likely, of 12 dB an octave, zero phase.

    The cut-off, 3 dB down, is drawn log-uniformly: a low-pass's between `low_pass_from_hz` and half
    the rate, a high-pass's between 20 Hz and `high_pass_to_hz`.
    """

    heavy = False
    max_speed = 1.0

    def __init__(
        self,
        *,
        low_pass_from_hz: float = 2000.0,
        high_pass_to_hz: float = 500.0,
        probability: float = 1.0,
    ) -> None:
        if not (low_pass_from_hz > 20 and high_pass_to_hz > 20):
            raise UserError(
                f"Filter: low_pass_from_hz={low_pass_from_hz} and "
                f"high_pass_to_hz={high_pass_to_hz} must be above 20"
            )
        self.low_pass_from_hz = low_pass_from_hz
        self.high_pass_to_hz = high_pass_to_hz
        self.probability = check_probability("Filter", probability)

    def __call__(self, audio: Audio, rate_hz: int, rng: np.random.Generator) -> Changed:
        """The filtered audio."""
        low_pass = rng.random() < 0.5
        highest_hz = rate_hz / 2
        if low_pass:
            ends_hz = (min(self.low_pass_from_hz, highest_hz), highest_hz)
        else:
            ends_hz = (20.0, min(self.high_pass_to_hz, highest_hz))
        cutoff_hz = np.exp(rng.uniform(*np.log(ends_hz)))
        slope = 4.0 if low_pass else -4.0  # Butterworth of second order: 1 / (1 + ratio^4)

        def curve_db(frequency_hz: Values) -> Values:
            ratio = np.maximum(frequency_hz, 1e-3) / cutoff_hz
            return -10 * np.log10(1 + ratio**slope)

        return Changed(filtered(audio, rate_hz, curve_db))


class Tilt:
    """A spectral tilt around 1 kHz, zero phase, drawn uniformly within `max_db_per_octave`.

    Below 60 Hz and above 16 kHz the gain stays as it is there.
    """

    heavy = False
    max_speed = 1.0

    def __init__(self, *, max_db_per_octave: float = 3.0, probability: float = 1.0) -> None:
        if not 0 < max_db_per_octave <= 12:
            raise UserError(
                f"Tilt: max_db_per_octave={max_db_per_octave} must be above 0 and at most 12"
            )
        self.max_db_per_octave = max_db_per_octave
        self.probability = check_probability("Tilt", probability)

    def __call__(self, audio: Audio, rate_hz: int, rng: np.random.Generator) -> Changed:
        """The tilted audio."""
        slope_db = rng.uniform(-self.max_db_per_octave, self.max_db_per_octave)

        def curve_db(frequency_hz: Values) -> Values:
            return slope_db * np.log2(np.clip(frequency_hz, _LOWEST_HZ, _HIGHEST_HZ) / _CENTRE_HZ)

        return Changed(filtered(audio, rate_hz, curve_db))


class Noise:
    """Noise under the sound, at `min_snr_db` to `max_snr_db`; silence stays silent.

    White, or falling by up to 6 dB an octave (drawn), the same in all channels' level. The ratio is
    that of the mean powers over the whole of the audio.
    """

    heavy = False
    max_speed = 1.0

    def __init__(
        self, *, min_snr_db: float = 20.0, max_snr_db: float = 50.0, probability: float = 1.0
    ) -> None:
        check_range("Noise", "snr_db", min_snr_db, max_snr_db)
        self.min_snr_db = min_snr_db
        self.max_snr_db = max_snr_db
        self.probability = check_probability("Noise", probability)

    def __call__(self, audio: Audio, rate_hz: int, rng: np.random.Generator) -> Changed:
        """The audio with noise."""
        snr_db = rng.uniform(self.min_snr_db, self.max_snr_db)
        fall_db = rng.uniform(0.0, 6.0)
        noise = rng.standard_normal(audio.shape, np.float32)
        noise = filtered(noise, rate_hz, lambda hz: -fall_db * np.log2(np.maximum(hz, 20.0) / 1e3))
        power = np.mean(np.square(audio, dtype=np.float64))
        own = np.mean(np.square(noise, dtype=np.float64))
        gain = np.sqrt(power / own * 10 ** (-snr_db / 10)) if own else 0.0
        return Changed(audio + np.float32(gain) * noise)


def filtered(audio: Audio, rate_hz: int, curve_db: Curve) -> Audio:
    """`audio` with the gain `curve_db(frequency_hz)`, zero phase, in one transform of the whole."""
    samples = audio.shape[1]
    # Zeros behind keep the end from reaching round to the beginning.
    length = fft.next_fast_len(samples + rate_hz // 20, real=True)
    frequency_hz = fft.rfftfreq(length, 1 / rate_hz)
    gains = (10 ** (curve_db(frequency_hz) / 20)).astype(np.float32)
    spectrum = fft.rfft(audio, length) * gains
    return np.ascontiguousarray(fft.irfft(spectrum, length)[:, :samples], np.float32)
