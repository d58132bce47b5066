"""Gates on what a listener notices first: does a model hold pitch, level, brightness, attack?

An error is small or large beside what the recordings themselves span: the limit is on the median
error over held-out recordings, as a share of the 5 to 95 % range of all that were scored. That
range is at least what an ear calls a change (`metrics.attributes.HeldAttribute.audible`).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from timbrel.analysis.evaluation import MODEL, FileScore
from timbrel.analysis.gates import Gate, judged, unknown
from timbrel.config.limits import LIMITS, ByKey
from timbrel.metrics.attributes import HALF_SEMITONE_CENTS, HELD

ERRORS = {
    "level": "loudness_error_lu",
    "brightness": "brightness_error_octaves",
    "noisiness": "hnr_error_db",
    "attack": "attack_error_decades",
    "decay": "decay_error_octaves",
}
"""The score behind each gate on an attribute."""

GATES = ("pitch", *ERRORS, "frame_rate_lines", "ringing")
"""In the order of tables."""

_RANGE = (0.05, 0.95)


def held_gates(
    rows: Sequence[FileScore], part: str | None, frame_rate_hz: float, limits: ByKey
) -> list[Gate]:
    """Every gate of this module, on the files of `part`; `limits` are the run's."""
    model = [row for row in rows if row.system == MODEL]
    held_out = [row for row in model if row.part == part]
    return [
        _pitch(held_out, limits),
        *(_error(name, score, held_out, model, limits) for name, score in ERRORS.items()),
        _lines(held_out, frame_rate_hz, limits),
        _ringing(held_out, limits),
    ]


def _pitch(held_out: Sequence[FileScore], limits: ByKey) -> Gate:
    limit = limits[LIMITS["pitch"].key]
    cents = _values(held_out, "pitch_error_cents")
    if not len(cents):
        return unknown("pitch", limit, "nothing to judge: no held-out recording has a pitch")
    p90 = np.quantile(cents, 0.9)
    counts = f"{_recordings(cents)}, median {np.median(cents):.0f}, 90 % below {p90:.0f} cents"
    return judged("pitch", float(np.mean(cents <= HALF_SEMITONE_CENTS)), limit, counts=counts)


def _error(
    name: str,
    score: str,
    held_out: Sequence[FileScore],
    model: Sequence[FileScore],
    limits: ByKey,
) -> Gate:
    limit = limits[LIMITS[name].key]
    errors = _values(held_out, score)
    if not len(errors):
        lacking = "is a note or a hit" if HELD[score].of_events else f"has a {name}"
        return unknown(name, limit, f"nothing to judge: no held-out recording {lacking}")
    spans = np.array([row.held[score] for row in model if score in row.held])
    low, high = np.quantile(spans, _RANGE)
    span = max(float(high - low), HELD[score].audible)
    counts = f"{_recordings(errors)}, median error {np.median(errors):.2g} of {span:.2g}"
    return judged(name, float(np.median(errors)) / span, limit, counts=counts)


def _lines(held_out: Sequence[FileScore], frame_rate_hz: float, limits: ByKey) -> Gate:
    limit = limits[LIMITS["frame_rate_lines"].key]
    lines = _values(held_out, "frame_rate_lines_db")
    if not len(lines):
        why = "nothing to judge: no held-out recording is long enough, or all are silent"
        return unknown("frame_rate_lines", limit, why)
    return judged("frame_rate_lines", float(lines.mean()), limit, rate_hz=frame_rate_hz)


def _ringing(held_out: Sequence[FileScore], limits: ByKey) -> Gate:
    limit = limits[LIMITS["ringing"].key]
    rings = _values(held_out, "ringing_db")
    if not len(rings):
        why = "nothing to judge: no held-out recording is long enough and has noise"
        return unknown("ringing", limit, why)
    return judged("ringing", float(rings.mean()), limit, counts=_recordings(rings))


def _recordings(values: NDArray[np.float64]) -> str:
    return f"{len(values)} recording{'s' if len(values) != 1 else ''}"


def _values(rows: Sequence[FileScore], score: str) -> NDArray[np.float64]:
    return np.array([row.scores[score] for row in rows if score in row.scores])
