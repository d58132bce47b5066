"""How far partials lie above whole multiples of the fundamental, as those of a stiff string do."""

from dataclasses import dataclass

import numpy as np

from timbrel.attributes.frames import Signal, Values

B_RANGE = (0.0, 0.02)
LEAST_PARTIALS = 5
_MOST_PARTIALS = 30
_WINDOW_S = 0.34
_LEAST_PERIODS = 8.0
_FLOOR_DB = 60.0
_ABOVE_MEDIAN_DB = 12.0
_SEARCH = 0.04  # of the fundamental
_WORST_CENTS = 15.0


@dataclass(frozen=True)
class Stiffness:
    """`coefficient` is B; `partials` how many were found; `deviation_cents` their RMS misfit."""

    coefficient: float
    partials: int
    deviation_cents: float

    @property
    def confidence(self) -> float:
        """1 for an exact fit, 0 at a misfit of 15 cents."""
        return max(0.0, 1.0 - self.deviation_cents / _WORST_CENTS)


def stiffness(audio: Signal, rate_hz: int, f0_hz: float, centre_sample: int) -> Stiffness | None:
    """B of `f_n = n f_0 sqrt(1 + B n^2)` (Fletcher 1964), fitted to the partials' frequencies.

    One window of 0.34 s (or what there is) around `centre_sample` is looked at. Partials are
    followed upwards from the first: each is sought where those below it say, and
    `(f_n / n)^2 = f_0^2 + f_0^2 B n^2` is a line in `n^2`. None where the window holds fewer than
    eight periods, fewer than five partials are found, or they misfit by more than 15 cents.
    """
    samples = min(round(_WINDOW_S * rate_hz), audio.shape[1])
    if f0_hz <= 0 or samples < _LEAST_PERIODS * rate_hz / f0_hz:
        return None
    start = min(max(0, centre_sample - samples // 2), audio.shape[1] - samples)
    level_db, spacing_hz = _spectrum(audio[:, start : start + samples], rate_hz)
    main_lobe_hz = 2 * rate_hz / samples
    line, found = (f0_hz**2, 0.0), []
    for n in range(1, _MOST_PARTIALS + 1):
        expected_hz = n * np.sqrt(max(line[0] + line[1] * n * n, 1.0))
        if expected_hz > 0.45 * rate_hz:
            break
        reach_hz = max(_SEARCH * f0_hz * (2 if n < 4 else 1), main_lobe_hz)
        peak_hz = _peak_hz(level_db, spacing_hz, expected_hz, reach_hz, f0_hz)
        if peak_hz is not None:
            found.append((n, peak_hz))
            line = _line(found) if len(found) > 2 else (float(np.mean(_squares(found))), 0.0)
    if len(found) < LEAST_PARTIALS or line[0] <= 0:
        return None
    number, heard_hz = np.array(found, float).T
    fitted_hz = number * np.sqrt(np.maximum(line[0] + line[1] * number**2, 1.0))
    cents = float(np.sqrt(np.mean(np.square(1200 * np.log2(heard_hz / fitted_hz)))))
    if cents > _WORST_CENTS:
        return None
    coefficient = min(max(line[1] / line[0], B_RANGE[0]), B_RANGE[1])
    return Stiffness(coefficient, len(found), cents)


def _spectrum(audio: Signal, rate_hz: int) -> tuple[Values, float]:
    """The level in dB below its maximum, Hann window, zeros to at least twice the length."""
    from scipy.fft import next_fast_len, rfft

    samples = audio.shape[1]
    n_fft = next_fast_len(2 * samples, real=True)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(samples) + 0.5) / samples)
    power = np.square(np.abs(rfft(audio * window, n_fft))).sum(0)
    level_db = 10 * np.log10(np.maximum(power, 1e-30))
    return level_db - level_db.max(), rate_hz / n_fft


def _peak_hz(
    level_db: Values, spacing_hz: float, expected_hz: float, reach_hz: float, f0_hz: float
) -> float | None:
    """The frequency of the highest peak near `expected_hz`; None where nothing stands out."""
    first = max(1, round((expected_hz - reach_hz) / spacing_hz))
    last = min(len(level_db) - 2, round((expected_hz + reach_hz) / spacing_hz))
    if last <= first:
        return None
    top = first + int(np.argmax(level_db[first : last + 1]))
    left, middle, right = level_db[top - 1 : top + 2]
    around = round(0.5 * f0_hz / spacing_hz)
    floor_db = float(np.median(level_db[max(0, top - around) : top + around + 1]))
    if middle < max(left, right) or middle < max(-_FLOOR_DB, floor_db + _ABOVE_MEDIAN_DB):
        return None
    bend = left - 2 * middle + right
    offset = 0.5 * (left - right) / bend if bend < 0 else 0.0
    return float((top + offset) * spacing_hz)


def _squares(found: list[tuple[int, float]]) -> Values:
    return np.array([(hz / n) ** 2 for n, hz in found])


def _line(found: list[tuple[int, float]]) -> tuple[float, float]:
    """Intercept and slope of `(f_n / n)^2` over `n^2`.

    A peak is as uncertain in Hz whatever its number, `(f_n / n)^2` therefore by 1 / n: the weights
    are n.
    """
    x = np.array([float(n * n) for n, _ in found])
    slope, intercept = np.polyfit(x, _squares(found), 1, w=np.sqrt(x))
    return float(intercept), float(slope)
