"""f0 of the lowest partials alone.

The lag at which a sound repeats best is a multiple of every partial's period where the partials are
harmonic. Of a bar, a bell or a tone beside an unrelated one it is not: a strong high partial draws
it to a multiple of its own period, up to half of it away.
"""

import numpy as np
from numpy.typing import NDArray

from timbrel.attributes.correlation import SIDE, between, energy_of, normalised, peak
from timbrel.attributes.frames import Mask, Signal, Values, hop_of

# How fast the weight of partials falls above f0, in nepers of amplitude: of (k^2 - 1) / 2.
_FALL = 1.3
_RATIO = 1.2  # how far from the period that was found they are looked at
_LEAST_LAG = 16  # the fewest samples that a period is reduced to
_MARGIN = 0.6  # half of what the weight is long in time, in periods
_LEAST_SHARE = 0.05  # of their power beside the whole sound
_MOST_APERIODIC = 0.5  # of their aperiodic share beside that of the whole
_BLOCK_FRAMES = 256


def lowest_f0(
    audio: Signal,
    rate_hz: int,
    window: int,
    centre: int,
    limits: tuple[int, int],
    f0_hz: Values,
    periodicity: Values,
    voiced: Mask,
) -> Values:
    """f0 in Hz of the lowest partials near `f0_hz`, per frame, where they tell it better.

    `f0_hz` stays where a frame is not `voiced`, where the lowest partials' aperiodic share is more
    than half of the whole sound's (few partials tell less than many that are as clear), and where
    they have less than a twentieth of its power: a fundamental may be missing, and a narrow band of
    noise repeats by chance. An octave of lags at a time is reduced to 16 to 32 samples per period.
    """
    hop, lag = hop_of(rate_hz), rate_hz / f0_hz
    octave = np.floor(np.log2(lag)).astype(np.intp)
    found = f0_hz.copy()
    edge = window + 4 * limits[1]  # more than any frame reaches beyond the audio
    padded = np.pad(np.asarray(audio, np.float32), ((0, 0), (edge, edge)))
    for each in np.unique(octave[voiced]):
        shortest, longest = int(2**each), min(int(2 ** (each + 1)), limits[1] + 1)
        step = max(1, shortest // _LEAST_LAG)
        before = int(np.ceil(_MARGIN * longest / step))
        lags = int(np.ceil(_RATIO * longest / step)) + SIDE + 2
        length = (2 * before + window // step + lags) * step
        start = edge + hop // 2 - centre - before * step
        members = np.flatnonzero(voiced & (octave == each))
        views = np.lib.stride_tricks.sliding_window_view(padded, length, axis=1)
        for first in range(0, len(members), _BLOCK_FRAMES):
            some = members[first : first + _BLOCK_FRAMES]
            frames = views[:, some * hop + start]
            low, r = _lag(frames, lag[some], step, before, window // step, lags)
            better = 1.0 - r <= _MOST_APERIODIC * (1.0 - periodicity[some])
            found[some] = np.where(better, rate_hz / np.clip(low, *limits), f0_hz[some])
    return found


def _lag(
    frames: NDArray[np.float32], lag: Values, step: int, before: int, window: int, lags: int
) -> tuple[Values, Values]:
    """The lag, in samples of `frames`, at which their lowest partials repeat best, and how well.

    `frames` is `(channel, frame, time)`. Of a partial k f0 the amplitude is weighted by
    k exp(1.3 (1 - k^2) / 2): 1 at f0, 0.28 an octave above, 0.016 at 3 f0, and little below f0. The
    first derivative of a Gaussian has this spectrum; it is 1.2 periods long, so that the two
    windows hold the sound around them and no edge. `before`, `window` and `lags` count every
    `step`-th sample. Where there is no maximum near `lag`, or too little power, r is -1.
    """
    from scipy.fft import irfft, next_fast_len, rfft

    size = next_fast_len(-(-frames.shape[-1] // step), real=True)
    bins = size // 2 + 1
    # Single precision, twice as fast, is enough for periods of so few samples: 0.01 cents.
    k = (np.arange(bins) * (lag[:, None] / (size * step))).astype(np.float32)
    weight = np.complex64(1j) * k * np.exp(0.5 * _FALL * (1.0 - np.square(k)))
    spectrum = rfft(frames, size * step)[..., :bins] * weight
    sound = irfft(spectrum, size)
    begin = rfft(sound[..., before : before + window], size)
    correlation = irfft(np.conj(begin) * spectrum, size)[..., before : before + lags]
    correlation = correlation.sum(0).astype(np.float64)
    square = np.square(sound[..., before : before + window + lags], dtype=np.float64).sum(0)
    energy = energy_of(square, window, lags)
    r = normalised(correlation, energy[:, :1] * energy)
    near = np.abs(np.log2(np.maximum(np.arange(lags), 1) * (step / lag[:, None])))
    base = np.where(near <= np.log2(_RATIO), r, -np.inf).argmax(1)
    here, left, right = (
        np.take_along_axis(r, base[:, None] + side, 1)[:, 0] for side in (0, -1, 1)
    )
    # Every `step`-th sample, `step` times as large.
    inside = frames[..., before * step : (before + window) * step]
    power = np.einsum("cft,cft->f", inside, inside)
    told = (here >= left) & (here >= right) & (energy[:, 0] >= _LEAST_SHARE * step * power)
    product = energy[:, :1] * between(energy, base)
    offset, top = peak(normalised(between(correlation, base), product))
    return (base + offset) * step, np.where(told, top, -1.0)
