"""Sliders: does one slider move one attribute of the decoded sound, and nothing else? (SDOT)

Task: a slider is moved through all its positions on several sounds (anchors), each position is
decoded and measured. Conventions: measured values are `(anchor, position, axis)` in the unit of
each axis (`AXES`), nan where a value is not defined; positions are equally spaced, and one of them,
`origin`, is the sound as it is. Changes are compared in spreads: the inter-quartile range of the
axis, at least what an ear calls a change (`Axis.audible`). All scores lie between 0 and 1, higher
is better; the worst leak is in spreads.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from timbrel.attributes.measurement import Measurement
from timbrel.attributes.registry import ATTRIBUTES
from timbrel.metrics.attributes import HELD, value_of

Values = NDArray[np.float64]

_RANGE_OF_NOISE = 3.0  # the expected range of nine values, in standard deviations
_LEAST_DEFINED = 4
DRAWS = 200
_NOISE = {attribute.name: attribute.noise or 0.0 for attribute in ATTRIBUTES}


@dataclass(frozen=True)
class Axis:
    """One of the things that a slider can move: its unit, what an ear calls a change, its noise.

    `noise` is the error of a repeated measurement (`attributes.registry`).
    """

    name: str
    unit: str
    audible: float
    noise: float


AXES = (
    Axis("brightness", "octaves", 0.5, _NOISE["log_centroid_octaves"]),
    Axis("pitch", "octaves", 0.25, _NOISE["log_f0_octaves"]),
    Axis("hnr", "dB", 6.0, _NOISE["hnr_db"]),
    Axis("attack", "decades", 0.3, _NOISE["log_attack_time"]),
    Axis("decay", "octaves", 0.5, 0.05),
    Axis("onsets", "octaves", 0.5, 0.15),
    Axis("width", "", 0.1, _NOISE["width"]),
    Axis("level", "LU", 6.0, _NOISE["loudness_lufs"]),
)
"""One for each thing that an ear tells apart; of relatives (centroid, roll-off) only one."""
PLACE = {axis.name: place for place, axis in enumerate(AXES)}


def on_axes(measured: Measurement) -> Values:
    """A sound's values on `AXES`, nan where it has none.

    A rate of onsets is that of three or more: a hit has none, and of two it is too rough.
    """
    brightness = measured.value("log_centroid_octaves")
    pitch = measured.value("log_f0_octaves")
    rate = measured.value("onsets_per_s")
    several = rate is not None and rate * _duration_s(measured) > 2.5
    width = measured.value("width")
    values = {
        "brightness": math.nan if brightness is None else brightness,
        "pitch": math.nan if pitch is None else pitch,
        "hnr": value_of(measured, HELD["hnr_error_db"]),
        "attack": value_of(measured, HELD["attack_error_decades"]),
        "decay": value_of(measured, HELD["decay_error_octaves"]),
        "onsets": math.log2(rate) if several and rate else math.nan,
        "width": math.nan if width is None else width,
        "level": value_of(measured, HELD["loudness_error_lu"]),
    }
    return np.array([values[axis.name] for axis in AXES])


def _duration_s(measured: Measurement) -> float:
    return measured.frame_values.shape[1] * measured.hop_samples / measured.rate_hz


def spreads(values: Values) -> Values:
    """Of every axis the inter-quartile range over sounds, `(sound, axis)`; at least audible."""
    found = []
    for axis, column in zip(AXES, values.T, strict=True):
        known = column[np.isfinite(column)]
        quartiles = np.quantile(known, [0.25, 0.75]) if len(known) else (0.0, 0.0)
        found.append(max(float(quartiles[1] - quartiles[0]), axis.audible))
    return np.array(found)


@dataclass(frozen=True)
class SliderScore:
    """What a slider does to its target, and to all else.

    `sdot` is purity times monotonicity (0 where negative) times range; `low` and `high` bound its
    95 % interval over anchors. `purity_p25` is the lower quartile of the anchors' purity,
    `smoothness` 1 where all steps are equal. `leak`, in spreads, is the largest change of another
    axis, `leaks_to`. `n` anchors have the target.
    """

    sdot: float
    low: float
    high: float
    purity: float
    purity_p25: float
    monotonicity: float
    range: float
    smoothness: float
    leak: float
    leaks_to: str
    n: int


NOTHING = SliderScore(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, "", 0)
"""Of a slider whose target no anchor has."""


def slider_score(
    values: Values,
    target: str,
    spread: Values,
    origin: int,
    rng: np.random.Generator,
    *,
    null: Values | None = None,
    draws: int = DRAWS,
) -> SliderScore:
    """Judge the slider whose positions gave `values` by what it does to the axis `target`.

    The travel of the target is the slope of a line through its positions, that of another axis its
    range: a slope would miss a change and back. From both goes what the sound does where nothing is
    moved: `null`, `(anchor, take, axis)`, are values of the same sounds in other takes. An axis
    that is defined at the origin, in every take and not at every position counts as a change of one
    spread; a leak to an axis counts by the share of anchors that have it. The brightness
    of a sound that has a pitch at all positions is its centroid above the fundamental: a note that
    is played higher is not brighter. Without `draws` of the anchors there is no interval.
    """
    place = PLACE[target]
    takes = values[:, origin : origin + 1] if null is None else null
    judged = [
        _anchor(anchor, still, place, spread, origin)
        for anchor, still in zip(pitched(values), pitched(takes), strict=True)
    ]
    known = [anchor for anchor in judged if anchor is not None]
    if not known:
        return NOTHING
    travel = np.array([anchor.travel for anchor in known])
    monotone = np.array([anchor.monotonicity for anchor in known])
    smooth = np.array([anchor.smoothness for anchor in known])
    leaks = np.stack([anchor.leaks for anchor in known])  # anchor axis; nan: has none

    def of(rows: NDArray[np.int64]) -> tuple[float, float, float, float]:
        moved = float(np.median(travel[rows]))
        others = _counted(leaks[rows]).sum()
        purity = moved / (moved + others) if moved > 0 else 0.0
        steady = float(np.median(monotone[rows]))
        return purity * max(0.0, steady) * min(1.0, moved), purity, steady, min(1.0, moved)

    everyone = np.arange(len(known))
    sdot, purity, steady, reach = of(everyone)
    drawn = [of(rng.integers(len(known), size=len(known)))[0] for _ in range(draws)] or [sdot]
    each = travel / np.maximum(travel + np.nansum(leaks, axis=1), 1e-12)
    counted = _counted(leaks)
    worst = int(counted.argmax())
    return SliderScore(
        sdot=sdot,
        low=float(np.quantile(drawn, 0.025)),
        high=float(np.quantile(drawn, 0.975)),
        purity=purity,
        purity_p25=float(np.quantile(each, 0.25)),
        monotonicity=steady,
        range=reach,
        smoothness=float(np.median(smooth)),
        leak=float(counted[worst]),
        leaks_to=AXES[worst].name if counted[worst] > 0 else "",
        n=len(known),
    )


@dataclass(frozen=True)
class _Anchor:
    travel: float
    monotonicity: float
    smoothness: float
    leaks: Values


def pitched(values: Values) -> Values:
    """Values with the brightness of an anchor above its fundamental, where it always has one."""
    made = values.copy()
    pitch = values[..., PLACE["pitch"]]
    always = np.isfinite(pitch).all(1)
    made[always, :, PLACE["brightness"]] -= pitch[always]
    return made


def _anchor(
    values: Values, still: Values, place: int, spread: Values, origin: int
) -> _Anchor | None:
    """One anchor, `(position, axis)`; None where it does not have the target."""
    positions = np.linspace(0.0, 1.0, len(values))
    middle = values[origin]
    course = values[:, place]
    defined = np.isfinite(course)
    if not np.isfinite(middle[place]):
        return None
    leaks = np.array(
        [_leak(values[:, i], middle[i], still[:, i], AXES[i], spread[i]) for i in range(len(AXES))]
    )
    leaks[place] = math.nan
    if defined.sum() < min(_LEAST_DEFINED, len(values)):
        return _Anchor(0.0, 0.0, 0.0, leaks)
    x, y = positions[defined], course[defined]
    slope = float(np.polyfit(x, y, 1)[0]) - _slope_of_nothing(still[:, place])
    total = float(np.abs(np.diff(y)).sum())
    monotone = float(spearmanr(x, y).statistic) if np.ptp(y) > 0 else 0.0
    equal = 1.0 / (len(y) - 1)
    smooth = 1 - (np.abs(np.diff(y)).max() / total - equal) / (1 - equal) if total > 0 else 0.0
    # A part of the way in which the target is not defined is no way.
    share = float(defined.mean())
    return _Anchor(max(0.0, slope) / spread[place] * share, monotone, float(smooth), leaks)


def _slope_of_nothing(takes: Values) -> float:
    """What the slope of a line through takes of one sound comes to, in the mean."""
    known = takes[np.isfinite(takes)]
    if len(known) < 3:
        return 0.0
    x = np.linspace(0.0, 1.0, len(known))
    # A line's slope has a deviation of s / sqrt(sum of squares of x), and |slope| 0.8 of it.
    return float(0.8 * known.std(ddof=1) / np.sqrt(np.square(x - x.mean()).sum()))


def _leak(course: Values, middle: float, takes: Values, axis: Axis, spread: float) -> float:
    """How far an axis moves, in spreads; nan where the sound has none."""
    if not np.isfinite(middle):
        return math.nan
    defined, still = np.isfinite(course), np.isfinite(takes)
    of_nothing = float(np.ptp(takes[still])) if still.any() else 0.0
    moved = float(np.ptp(course[defined])) - max(of_nothing, _RANGE_OF_NOISE * axis.noise)
    lost = 1.0 if still.all() and not defined.all() else 0.0
    return max(max(0.0, moved) / spread, lost)


def _counted(leaks: Values) -> Values:
    """Of every axis the median over the anchors that have it, times their share; 0 without one.

    Two sounds of many that have onsets to count do not weigh as much as what all sounds have.
    """
    known = np.isfinite(leaks)
    medians = [
        float(np.median(c[k])) if k.any() else 0.0 for c, k in zip(leaks.T, known.T, strict=True)
    ]
    return np.array(medians) * known.mean(0)
