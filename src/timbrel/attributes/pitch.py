"""Fundamental frequency and periodicity per frame.

YIN (de Cheveigne & Kawahara 2002) finds the period. How periodic the frame is, r, is the normalised
correlation between the window and itself one period later (Talkin 1995), which a steady decay does
not lower; 1 - r is the aperiodic share of the power, and 10 log10(r / (1 - r)) the
harmonic-to-noise ratio (Boersma 1993, eq. 4).

f0 is measured again on the lowest partials alone (`lowest_partials`), near the period that was
found, and theirs counts where they are the more periodic. Periodicity remains that of the whole
sound.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from timbrel.attributes.correlation import SIDE, STEPS, between, energy_of, normalised, peak
from timbrel.attributes.frames import Mask, Signal, Values, framed
from timbrel.attributes.lowest_partials import lowest_f0

F0_RANGE_HZ = (40.0, 4000.0)
VOICED = 0.7
"""The least periodicity at which an f0 is believed: harmonics 3.7 dB above the noise."""
HNR_RANGE_DB = (-20.0, 40.0)

_WINDOW_S = 2048 / 48_000
_DIP = 0.1  # YIN's absolute threshold
_DIP_SLACK = 0.05
_DIP_WIDTH = 1.25
# Frames are centred on the pair of windows that this f0 makes.
_TYPICAL_HZ = 220.0
# f0 as found, and what an octave or a twelfth away would be.
_RATIOS = (1.0, 0.5, 2.0, 1 / 3, 3.0)
# Which harmonics may be the lowest partial of all, and how far it stands above what is around it.
_LOWEST_OF_ALL = range(3, 11)
_LONE_POWER = 10**1.5
_LOBE_BINS = 2.5
_TRACK_FRAMES = 25
_GUIDED_OCTAVES = 1 / 24
_JUMP_OCTAVES, _NEAR_OCTAVES, _PERIODICITY_LOSS = 0.4, 0.2, 0.1
# Upwards a longer way: see `octave_choice`.
_LONG_FRAMES, _UPWARD_LOSS = 100, 0.35


@dataclass(frozen=True)
class PitchTrack:
    """`f0_hz` of every frame, and how periodic it is, from 0 to 1.

    `believed` says which f0 are to be believed; without it those whose periodicity is `VOICED`.
    """

    f0_hz: Values
    periodicity: Values
    believed: Mask | None = None

    @property
    def voiced(self) -> Mask:
        """Frames whose f0 is believed."""
        return self.periodicity >= VOICED if self.believed is None else self.believed

    @property
    def hnr_db(self) -> Values:
        """Harmonic-to-noise ratio in dB, from -20 to 40."""
        return hnr_db(self.periodicity)


def hnr_db(periodicity: Values) -> Values:
    """The power of what repeats over the power of what does not, in dB, from -20 to 40.

    >>> float(hnr_db(np.array([0.5]))[0])
    0.0
    """
    low, high = (10 ** (db / 10) for db in HNR_RANGE_DB)
    share = np.clip(periodicity, low / (1 + low), high / (1 + high))
    return 10.0 * np.log10(share / (1.0 - share))


def periodicity(hnr_db: Values) -> Values:
    """What `hnr_db` was computed of, from 0 to 1.

    >>> float(periodicity(np.array([0.0]))[0])
    0.5
    """
    power = 10.0 ** (np.asarray(hnr_db, np.float64) / 10.0)
    return power / (1.0 + power)


def pitch_track(
    audio: Signal, rate_hz: int, sounding: Mask, *, guide_hz: Values | None = None
) -> PitchTrack:
    """The track of `audio`, octave errors repaired; `sounding` says which frames are not silent.

    With `guide_hz`, a value per frame, the period is looked for within half a semitone of it alone:
    the guide then decides the octave. Where it is nan no f0 is believed; the periodicity is still
    that of YIN.

    A frame's f0 is that of the lowest partials in 43 ms and one period more. It lies between 40 Hz
    and 4 kHz (a twelfth of the rate, where that is less). Correlations are summed over channels, so
    that antiphase is not silence.
    """
    window = round(_WINDOW_S * rate_hz)
    least = max(SIDE + 3, int(rate_hz / F0_RANGE_HZ[1]))
    most = max(least + 2, int(np.ceil(rate_hz / F0_RANGE_HZ[0])))
    centre = (window + round(rate_hz / _TYPICAL_HZ)) // 2
    found, first = [], 0
    for block in framed(audio, rate_hz, window + most + SIDE + 2, centre=centre):
        guide = None if guide_hz is None else guide_hz[first : first + block.shape[1]]
        found.append(_candidates(block, rate_hz, window, least, most, guide))
        first += block.shape[1]
    f0_hz, periodicity = (np.concatenate(part) for part in zip(*found, strict=True))
    periodicity = np.where(sounding[:, None], periodicity, 0.0)
    if guide_hz is None:
        choice = octave_choice(f0_hz, periodicity)[:, None]
    else:
        choice = np.zeros((len(f0_hz), 1), np.intp)
    chosen = np.clip(np.take_along_axis(periodicity, choice, 1)[:, 0], 0.0, 1.0)
    believed = None if guide_hz is None else np.isfinite(guide_hz) & (chosen >= VOICED)
    whole_hz = np.take_along_axis(f0_hz, choice, 1)[:, 0]
    voiced = chosen >= VOICED
    low_hz = lowest_f0(audio, rate_hz, window, centre, (least, most), whole_hz, chosen, voiced)
    return PitchTrack(low_hz, chosen, believed)


def octave_choice(f0_hz: Values, periodicity: Values) -> NDArray[np.intp]:
    """Which candidate to take per frame, of `(frame, candidate)` arrays; column 0 is YIN's own.

    A frame that lies more than 0.4 octaves from the median of the voiced frames within 0.25 s takes
    the candidate nearest to that median, where one lies within 0.2 octaves of it and is nearly as
    periodic. A leap that lasts longer than half of that time is the median, and stays.

    Then a frame that lies so far below the median of the voiced frames within 1 s may take a higher
    candidate that is less periodic by up to 0.35. The partials of a struck bar are in no simple
    ratio, and together they repeat after two or three periods of the lowest, until the others have
    died away; of a low note the part that does not repeat sooner is larger than that.
    """
    octaves = np.log2(f0_hz)
    rows = np.arange(len(f0_hz))
    voiced = np.flatnonzero(periodicity[:, 0] >= VOICED)
    choice = np.zeros(len(f0_hz), np.intp)
    for reach, loss, upwards in (
        (_TRACK_FRAMES, _PERIODICITY_LOSS, False),
        (_LONG_FRAMES, _UPWARD_LOSS, True),
    ):
        chosen = octaves[rows, choice]
        middle = _medians(chosen, voiced, reach)
        off = middle - chosen[voiced] if upwards else np.abs(middle - chosen[voiced])
        away = np.abs(octaves[voiced] - middle[:, None])
        least = periodicity[voiced, choice[voiced]] - loss
        away[periodicity[voiced] < least[:, None]] = np.inf
        repaired = (off > _JUMP_OCTAVES) & (away.min(1) <= _NEAR_OCTAVES)
        choice[voiced[repaired]] = away.argmin(1)[repaired]
    return choice


def _medians(values: Values, voiced: NDArray[np.intp], reach: int) -> Values:
    """The median of `values` of the `voiced` frames within `reach` frames, at each of these."""
    padded = np.full(len(values) + 2 * reach, np.inf)
    padded[voiced + reach] = values[voiced]
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
    ordered = np.sort(around[voiced], axis=1)
    count = np.isfinite(ordered).sum(1, keepdims=True)
    pair = np.take_along_axis(ordered, np.concatenate([(count - 1) // 2, count // 2], 1), 1)
    return np.asarray(pair.mean(1), np.float64)


def _candidates(
    frames: NDArray[np.floating],
    rate_hz: int,
    window: int,
    least: int,
    most: int,
    guide_hz: Values | None,
) -> tuple[Values, Values]:
    """f0 in Hz and periodicity, each `(frame, candidate)`, of `(channel, frame, time)`."""
    from scipy.fft import irfft, next_fast_len, rfft

    lags = most + SIDE + 2
    n_fft = next_fast_len(frames.shape[-1], real=True)
    frames = frames.astype(np.float64)
    whole, begin = rfft(frames, n_fft), rfft(frames[..., :window], n_fft)
    correlation = irfft(np.conj(begin) * whole, n_fft)[..., :lags].sum(0)  # (frame, lag)
    energy = energy_of(np.square(frames).sum(0), window, lags)
    difference = np.maximum(energy[:, :1] + energy - 2 * correlation, 0.0)
    start = _first_dip(difference, least, most)
    if guide_hz is not None:
        guided = _guided_dip(difference, rate_hz / guide_hz, least, most)
        start = np.where(np.isfinite(guide_hz), guided, start)
    lag, r = _refined(start.astype(np.float64), correlation, energy, least, most)
    if guide_hz is None:
        shorter = lag / _lowest_partial(whole, n_fft / lag)
        some = (shorter < lag) & (shorter >= least)
        lag[some], r[some] = _refined(shorter[some], correlation[some], energy[some], least, most)
    f0_hz, periodicity = [rate_hz / lag], [r]
    for ratio in _RATIOS[1:]:
        other, r = _refined(lag / ratio, correlation, energy, least, most)
        f0_hz.append(rate_hz / other)
        periodicity.append(r)
    return np.stack(f0_hz, 1), np.stack(periodicity, 1)


def _lowest_partial(whole: NDArray[np.complex128], f0_bins: Values) -> NDArray[np.intp]:
    """Which harmonic of f0 is the lowest partial of all, per frame; 1 where f0 may be missing.

    `whole` are the spectra of frames (channel, frame, bin). Partials of a bar or of a skin repeat
    together after three or more periods of the lowest: it is then a harmonic of what repeats,
    with nothing below it and nothing between it and nearly an octave above. A note that lacks its
    fundamental has its other harmonics, one beside the other.
    """
    spectrum = 0.5 * whole  # in a Hann window
    spectrum[..., 1:-1] -= 0.25 * (whole[..., :-2] + whole[..., 2:])
    power = np.square(np.abs(spectrum)).sum(0)
    bins = np.arange(power.shape[1])
    harmonic = bins / f0_bins[:, None]
    chosen = np.ones(len(power), np.intp)
    for number in _LOWEST_OF_ALL:
        beside = np.abs(bins - number * f0_bins[:, None])
        there = beside <= np.maximum(0.5 * f0_bins[:, None], _LOBE_BINS)
        around = ~there & (harmonic > 0.5) & (harmonic < 2 * number - 0.5)
        here, other = (np.where(mask, power, 0).max(1) for mask in (beside <= 1, around))
        chosen[(here > _LONE_POWER * other) & (chosen == 1)] = number
    return chosen


def _first_dip(difference: Values, least: int, most: int) -> NDArray[np.intp]:
    """YIN's steps 3 and 4: the first dip of the cumulative-mean-normalised difference.

    Where none is below the absolute threshold, the first that is nearly as deep as the deepest is
    taken, so that noise does not turn a period into two. Of a dip that noise has made rough the
    deepest point counts.
    """
    lags = np.arange(least, most + 1)
    running = np.cumsum(difference[:, 1 : most + 1], axis=1)[:, least - 1 :]
    inside = np.ones_like(running)
    np.divide(difference[:, least : most + 1] * lags, running, out=inside, where=running > 0)
    limit = np.maximum(_DIP, inside.min(1, keepdims=True) + _DIP_SLACK)
    first = (inside <= limit).argmax(1)[:, None] + least
    dip = np.where((lags >= first) & (lags <= _DIP_WIDTH * first), inside, np.inf)
    return least + dip.argmin(1)


def _guided_dip(difference: Values, lag: Values, least: int, most: int) -> NDArray[np.intp]:
    """The deepest point within half a semitone of `lag`; where that is nan, any."""
    lags = np.arange(least, most + 1)
    with np.errstate(invalid="ignore"):
        near = np.abs(np.log2(lags / lag[:, None])) <= _GUIDED_OCTAVES
    # Of a short lag the half semitone may be less than a sample.
    nearest = np.nan_to_num(lag, nan=least).clip(least, most).round().astype(int) - least
    near[np.arange(len(lag)), nearest] = True
    return least + np.where(near, difference[:, least : most + 1], np.inf).argmin(1)


def _refined(
    lag: Values, correlation: Values, energy: Values, least: int, most: int
) -> tuple[Values, Values]:
    """The lag in samples with the greatest normalised correlation within one of `lag`, and that.

    The correlation is band-limited as the sound is: it is interpolated by a windowed sinc, and the
    maximum by a parabola. A lag out of range has a periodicity of -1.
    """
    inside = (lag >= least - 1) & (lag <= most + 1)
    base = np.clip(np.rint(lag), least, most).astype(np.intp)
    steps = STEPS[None, :]
    low = np.floor(steps).astype(np.intp)
    here = np.take_along_axis(energy, base[:, None] + low, 1)
    after = np.take_along_axis(energy, base[:, None] + low + 1, 1)
    product = energy[:, :1] * (here + (steps - low) * (after - here))
    offset, top = peak(normalised(between(correlation, base), product))
    return np.maximum(base + offset, 2.0), np.where(inside, top, -1.0)
