"""Loops in notes: a stretch of a sound that a sampler repeats while a key is held."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import correlate

Audio = NDArray[np.float32]  # channel time

_WINDOW_S, _SHORTEST_S, _FADE_S = 0.05, 0.25, 0.04
_LEAST_MATCH, _MOST_STEP_DB, _NEARLY = 0.9, 0.5, 0.01


@dataclass(frozen=True)
class Loop:
    """Samples from `start` to `stop`, which is the first one behind it.

    `match` says how alike the sound is ahead of both: the correlation, at most 1.
    """

    start: int
    stop: int
    match: float


def find_loop(audio: Audio, rate_hz: int, first: int, last: int) -> Loop | None:
    """The longest loop between two samples whose join is smooth; None where none is.

    Its join is within 1 % of the smoothest one. It is a quarter of a second or longer. The 50 ms
    ahead of its start and of its stop correlate by 0.9 or more and differ in level by half a
    decibel at most.
    """
    window, fade = round(_WINDOW_S * rate_hz), round(_FADE_S * rate_hz)
    stop = min(last, audio.shape[1]) - fade
    lowest, highest = max(first, 0) + window, stop - round(_SHORTEST_S * rate_hz)
    if highest <= lowest:
        return None
    # What lies ahead of every start from `lowest` on, beside what lies ahead of the stop.
    heard = audio[:, lowest - window : highest].astype(np.float64)
    pattern = audio[:, stop - window : stop].astype(np.float64)
    product = sum(correlate(x, y, "valid") for x, y in zip(heard, pattern, strict=True))
    summed = np.concatenate([[0.0], np.cumsum(np.square(heard).sum(0))])
    energy = np.maximum(summed[window:] - summed[:-window], 0.0)
    own = float(np.square(pattern).sum())
    if not own > 0:
        return None
    match = product / np.sqrt(np.maximum(energy * own, 1e-20))
    step_db = np.abs(10 * np.log10(np.maximum(energy, 1e-20) / own))
    match[step_db > _MOST_STEP_DB] = -1.0
    if match.max() < _LEAST_MATCH:
        return None
    best = int(np.argmax(match >= max(_LEAST_MATCH, match.max() - _NEARLY)))
    return Loop(lowest + best, stop, float(match[best]))


def with_loop(audio: Audio, rate_hz: int, loop: Loop) -> Audio:
    """`audio` with the sound ahead of the loop's start faded in ahead of its stop.

    Behind the stop it fades back, so that a release that follows there has no step either.
    """
    fade = min(round(_FADE_S * rate_hz), loop.start, audio.shape[1] - loop.stop)
    share = np.sin(0.5 * np.pi * (np.arange(2 * fade) + 0.5) / max(fade, 1)) ** 2
    made = audio.copy()
    there, here = slice(loop.stop - fade, loop.stop + fade), loop.start - fade
    other = audio[:, here : here + 2 * fade]
    made[:, there] = (1 - share) * audio[:, there] + share * other
    return made.astype(np.float32)
