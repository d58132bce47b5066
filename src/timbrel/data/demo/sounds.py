"""One sound of the demo set from its factors: strings, bars, bells, skins, breath, shakers, wind.

Every sound is a tone (a sum of decaying partials) plus shaped noise, in mid and side. Partial
amplitudes, noise spectrum and gains are solved for, so that the samples have exactly these factors.
Nothing here imports torch, and the draws are seeded by the sound alone.

Conventions, for a sound of f0 `f_1`:
- The tone's level rises as sin^2 for `attack_s` and decays from there. The decay of the lowest
  partial is `decay_db_per_s`; the one at frequency f decays (f / f_1)^p times as fast.
- `brightness_hz` is the energy-weighted spectral centroid of the whole sound, in its mid; it is
  met within 6 %, by most sounds within 1 %.
- `noisiness` is the share of the noise in the energy of the mid.
- `stereo_width` is E_side / (E_mid + E_side), for mid (L+R)/2 and side (L-R)/2.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.fft import rfft, rfftfreq
from scipy.special import jn_zeros

from timbrel.data.demo.noise import PARTIAL_LIMIT, Array, bisect, grains, shaped_noise

ComplexArray = NDArray[np.complex128]

FADE_S = 0.12
SILENCE_S = 0.005

_DECIBELS_PER_NEPER = 20 / np.log(10)
_QUIETEST_PARTIAL = 10 ** (-90 / 20)
# A free-free uniform bar (Fletcher & Rossing, The Physics of Musical Instruments, 2.14).
_BAR_RATIOS = (1.0, 2.756, 5.404, 8.933, 13.344, 18.638)
# Hum, prime, tierce, quint, nominal, ... of a minor-third church bell, counted from the hum.
_BELL_RATIOS = (1.0, 2.0, 2.4, 3.0, 4.0, 5.0, 5.33, 6.0, 8.0, 10.6, 13.4)
_DOUBLET_SHARE = 0.75
_NOTES = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")


@dataclass(frozen=True)
class Sound:
    """The factors of one sound; the module's docstring defines them.

    `kind` is `pluck`, `strike` or `noise`; `model` is `string`, `bar`, `bell`, `skin`, `breath`,
    `shaker` or `wind`. `seed` draws what is no factor: phases, noise, where a string is plucked.
    `duration_s` includes the fade and the digital silence at the end; `peak_dbfs` is the larger
    channel's sample peak.
    """

    index: int
    kind: str
    model: str
    midi: int
    brightness_hz: float
    attack_s: float
    noisiness: float
    decay_db_per_s: float
    stereo_width: float
    peak_dbfs: float
    duration_s: float
    seed: int

    @property
    def f0_hz(self) -> float:
        """The lowest partial (for noise: the lowest resonance), in equal temperament from A 440."""
        return float(440.0 * 2 ** ((self.midi - 69) / 12))

    @property
    def file(self) -> str:
        """The name of its file, such as `pluck_003_A2.wav`."""
        return f"{self.kind}_{self.index:03d}_{note_name(self.midi)}.wav"


@dataclass(frozen=True)
class Modes:
    """The partials of a tone: `ratio` to the lowest, decay in nepers/s, amplitude, phase (rad).

    A mode with `beat_hz` > 0 is a pair that far apart, as in two polarisations of a string.
    """

    ratio: Array
    decay_per_s: Array
    amplitude: Array
    phase: Array
    beat_hz: Array


@dataclass(frozen=True)
class Partials:
    """What sounds: each partial's frequency, decay, and complex amplitude in mid and side."""

    frequency_hz: Array
    decay_per_s: Array
    amplitude: ComplexArray


def note_name(midi: int) -> str:
    """The note's name, with flats, since `#` is awkward in file names.

    >>> note_name(45), note_name(70)
    ('A2', 'Bb4')
    """
    return f"{_NOTES[midi % 12]}{midi // 12 - 1}"


def synthesize(sound: Sound, sample_rate_hz: int) -> Array:
    """The samples `(2, time)`, left and right, of `sound`; the same for the same arguments.

    Brightness that the model cannot have at this pitch and rate is met as nearly as it can.
    """
    n_samples = round(sound.duration_s * sample_rate_hz)
    window = _fade(n_samples, sample_rate_hz)

    def tone_at(centroid_hz: float) -> Array:
        parts = partials(sound, sample_rate_hz, centroid_hz)
        tone = window * _tone(sound, parts, n_samples, sample_rate_hz)
        return tone * np.sqrt((1 - sound.noisiness) / np.sum(tone[0] ** 2))

    def noise_at(centroid_hz: float) -> Array:
        noise = window * _noise(sound, centroid_hz, n_samples, sample_rate_hz)
        return noise * np.sqrt(sound.noisiness / np.sum(noise[0] ** 2))

    tone_hz, noise_hz = _centroids_hz(sound, sample_rate_hz)
    tone, noise = tone_at(tone_hz), noise_at(noise_hz)
    # What chance and a short attack did to the spectrum is measured once and aimed off.
    off_hz = sound.brightness_hz - _centroid_hz(tone[0] + noise[0], sample_rate_hz)
    if sound.kind == "noise":
        noise = noise_at(noise_hz + off_hz / sound.noisiness)
    else:
        tone = tone_at(tone_hz + off_hz / (1 - sound.noisiness))

    # Made orthogonal to the tone and given its share once more, so that their energies add up.
    noise[0] -= tone[0] * (np.sum(noise[0] * tone[0]) / np.sum(tone[0] ** 2))
    if sound.noisiness > 0:
        noise *= np.sqrt(sound.noisiness / np.sum(noise[0] ** 2))
    mid, side = tone + noise
    wanted = sound.stereo_width / (1 - sound.stereo_width) * np.sum(mid**2)
    side *= np.sqrt(wanted / np.sum(side**2))
    stereo = np.stack([mid + side, mid - side])
    return stereo * (10 ** (sound.peak_dbfs / 20) / np.max(np.abs(stereo)))


def partials(sound: Sound, sample_rate_hz: int, centroid_hz: float) -> Partials:
    """All partials of `sound` below 0.45 of the rate, the lowest first.

    The amplitudes are a power of frequency that puts the tone's centroid at `centroid_hz`.
    """
    modes = _modes(sound, sample_rate_hz)
    amplitude = modes.amplitude * modes.ratio ** _exponent(sound, modes, centroid_hz)
    heard = np.abs(amplitude) > _QUIETEST_PARTIAL * np.max(np.abs(amplitude))
    heard[0] = True

    frequency_hz = sound.f0_hz * modes.ratio
    rng = np.random.default_rng((sound.seed, 1))
    mid = amplitude * np.exp(1j * modes.phase)
    # In quadrature to the mid, left and right are equally loud whatever the width.
    sign = rng.choice([-1j, 1j], len(mid))
    side = mid * sign * rng.uniform(0.5, 1.0, len(mid))
    single, pair = heard & (modes.beat_hz == 0), heard & (modes.beat_hz > 0)
    shares = ((single, 1.0, 0.0), (pair, _DOUBLET_SHARE, 0.5), (pair, 1 - _DOUBLET_SHARE, -0.5))
    return Partials(
        np.concatenate([(frequency_hz + at * modes.beat_hz)[of] for of, _, at in shares]),
        np.concatenate([modes.decay_per_s[of] for of, _, _ in shares]),
        np.concatenate([share * np.stack([mid, side])[:, of] for of, share, _ in shares], axis=1),
    )


def _centroids_hz(sound: Sound, sample_rate_hz: int) -> tuple[float, float]:
    """Where tone and noise are to have their centroids, so that their mix has the sound's."""
    above_hz = sound.brightness_hz - sound.f0_hz
    if sound.kind == "noise":
        tone_hz = sound.f0_hz + min(above_hz, 1.5 * sound.f0_hz)
        highest_hz = 0.2 * sample_rate_hz
    else:
        # A pick or a stick is brighter than what it sets ringing.
        tone_hz = sound.f0_hz + 0.5 * above_hz
        highest_hz = max(min(4 * sound.brightness_hz, 0.17 * sample_rate_hz), sound.brightness_hz)
    rest_hz = (sound.brightness_hz - tone_hz) / max(sound.noisiness, 1e-6) + tone_hz
    noise_hz = min(rest_hz, highest_hz)
    # A sound may be all noise: then it does not matter where its tone would be.
    share = max(1 - sound.noisiness, 1e-6)
    return max((sound.brightness_hz - sound.noisiness * noise_hz) / share, tone_hz), noise_hz


def _centroid_hz(signal: Array, sample_rate_hz: int) -> float:
    power = np.abs(rfft(signal)) ** 2
    return float(np.sum(power * rfftfreq(len(signal), 1 / sample_rate_hz)) / np.sum(power))


def _modes(sound: Sound, sample_rate_hz: int) -> Modes:
    rng = np.random.default_rng((sound.seed, 0))
    highest = PARTIAL_LIMIT * sample_rate_hz / sound.f0_hz
    amplitude = None
    if sound.model == "string":
        # Stiffness: Fletcher & Rossing 2.18, taken relative to the first partial.
        k = np.arange(1, int(highest) + 1)
        stiffness = 10 ** rng.uniform(-5.0, -3.7)
        ratio = k * np.sqrt((1 + stiffness * k**2) / (1 + stiffness))
        pluck_position = rng.uniform(0.12, 0.45)
        amplitude = np.sin(np.pi * k * pluck_position)
        growth, beating = rng.uniform(0.4, 0.7), True
    elif sound.model == "bar":
        ratio, growth, beating = np.array(_BAR_RATIOS), rng.uniform(0.6, 1.0), False
    elif sound.model == "bell":
        ratio, growth, beating = np.array(_BELL_RATIOS), rng.uniform(0.35, 0.7), True
    elif sound.model == "skin":
        ratio, growth, beating = _skin_ratios(), rng.uniform(0.4, 0.8), True
    else:
        ratio, growth, beating = np.arange(1.0, 9.0), 0.3, False
    ratio = ratio[ratio <= highest]
    size = len(ratio)
    if amplitude is None:
        # Where it is struck weights the modes above the first.
        amplitude = np.r_[1.0, rng.uniform(0.4, 1.0, size - 1)]
    beat_hz = rng.uniform(0.3, 1.8, size) if beating else np.zeros(size)
    beat_hz[0] = 0.0
    return Modes(
        ratio=ratio,
        decay_per_s=sound.decay_db_per_s / _DECIBELS_PER_NEPER * ratio**growth,
        amplitude=amplitude[:size],
        # Rest before the attack: displacements begin as sines.
        phase=np.full(size, -np.pi / 2) + rng.uniform(-0.5, 0.5, size),
        beat_hz=beat_hz,
    )


@cache
def _skin_ratios() -> Array:
    """The modes of an ideal circular membrane: zeros of Bessel functions over the first."""
    zeros = np.sort(np.concatenate([jn_zeros(order, 4) for order in range(9)]))[:16]
    return zeros / zeros[0]


def _exponent(sound: Sound, modes: Modes, centroid_hz: float) -> float:
    """The power of the frequency ratio by which the partials' energy has that centroid."""
    sounding_s = sound.duration_s - sound.attack_s
    decay, beat = modes.decay_per_s, 2 * np.pi * modes.beat_hz
    cross = np.where(beat > 0, 2 * _DOUBLET_SHARE * (1 - _DOUBLET_SHARE), 0.0)
    lasting_s = (1 - np.exp(-2 * decay * sounding_s)) * (
        (1 - cross) / (2 * decay) + cross * 2 * decay / (4 * decay**2 + beat**2)
    )
    energy = modes.amplitude**2 * (3 / 8 * sound.attack_s + lasting_s)
    log_ratio = np.log(modes.ratio)

    def centroid_ratio(exponent: float) -> float:
        exponents = 2 * exponent * log_ratio
        weighted = energy * np.exp(exponents - exponents.max())
        return float(np.sum(weighted * modes.ratio) / np.sum(weighted))

    return bisect(centroid_ratio, centroid_hz / sound.f0_hz, -30.0, 6.0)


def _tone(sound: Sound, partials: Partials, n_samples: int, sample_rate_hz: int) -> Array:
    """Mid and side `(2, time)` of the tone, before any gain."""
    attack = round(sound.attack_s * sample_rate_hz)
    turn = np.multiply(2j * np.pi / sample_rate_hz, partials.frequency_hz, dtype=np.complex128)
    rising = _sum_of_exponentials(partials.amplitude, turn, attack)
    held = partials.amplitude * np.exp(turn * attack)
    turn -= partials.decay_per_s / sample_rate_hz
    falling = _sum_of_exponentials(held, turn, n_samples - attack)
    return np.concatenate([rising * _rise(attack), falling], axis=1)


def _sum_of_exponentials(amplitude: ComplexArray, exponent: ComplexArray, n_samples: int) -> Array:
    """Re sum_k amplitude[c, k] exp(exponent[k] n), as `(channel, n_samples)`.

    With n = L i + j the exponential factors, and the sum over k is one matrix product.
    """
    length = max(1, int(np.ceil(np.sqrt(n_samples))))
    rows = -(-n_samples // length)
    coarse = exponent * (length * np.arange(rows))[:, None]
    # Far below any audible level, denormal numbers would only cost time.
    coarse = np.exp(np.maximum(coarse.real, -40.0) + 1j * coarse.imag)
    fine = np.exp(exponent * np.arange(length)[:, None]).T
    left = (amplitude[:, None, :] * coarse).reshape(-1, len(exponent))
    real = left.real @ fine.real - left.imag @ fine.imag
    return real.reshape(len(amplitude), -1)[:, :n_samples]


def _noise(sound: Sound, centroid_hz: float, n_samples: int, sample_rate_hz: int) -> Array:
    """Mid and side `(2, time)` of the noise, before any gain."""
    rng = np.random.default_rng((sound.seed, 2))
    attack = round(sound.attack_s * sample_rate_hz)
    time_s = np.maximum(np.arange(n_samples) - attack, 0) / sample_rate_hz
    # The scrape of a pick, the knock of a mallet: over well before the tone.
    haste = 1.0 if sound.kind == "noise" else 4.0
    level = np.exp(-haste * sound.decay_db_per_s / _DECIBELS_PER_NEPER * time_s)
    level[:attack] *= _rise(attack)
    if sound.model == "shaker":
        level *= grains(rng, n_samples, sample_rate_hz)
    if sound.model == "wind":
        gust_hz, phase = rng.uniform(2.5, 5.0), rng.uniform(0, 2 * np.pi)
        level *= 1 + 0.25 * np.sin(
            2 * np.pi * gust_hz * np.arange(n_samples) / sample_rate_hz + phase
        )

    def shaped(f0_hz: float) -> Array:
        return shaped_noise(rng, sound.model, f0_hz, centroid_hz, n_samples, sample_rate_hz)

    if sound.model != "wind":
        return level * shaped(sound.f0_hz)
    glide = 2 ** (rng.choice([-1, 1]) * 2 / 12)
    fade = np.linspace(0, np.pi / 2, n_samples)
    start, end = shaped(sound.f0_hz * glide), shaped(sound.f0_hz / glide)
    return level * (np.cos(fade) * start + np.sin(fade) * end)


def _rise(n_samples: int) -> Array:
    return np.sin(np.pi / 2 * np.arange(n_samples) / max(n_samples, 1)) ** 2


def _fade(n_samples: int, sample_rate_hz: int) -> Array:
    """One, a raised cosine down over `FADE_S`, and `SILENCE_S` of zeros."""
    window = np.ones(n_samples)
    silent = round(SILENCE_S * sample_rate_hz)
    fading = round(FADE_S * sample_rate_hz)
    window[n_samples - silent - fading : n_samples - silent] = _rise(fading)[::-1]
    window[n_samples - silent :] = 0.0
    return window
