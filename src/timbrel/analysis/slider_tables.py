"""What an analysis leaves in a run folder: sliders and responses as tables, traversals to hear."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from timbrel.analysis.evaluation import write_csv, write_wav
from timbrel.analysis.sliders import Found
from timbrel.generation.controls.apply import Playable
from timbrel.metrics.sliders import AXES, PLACE, on_axes

TRAVERSED = 5
"""Positions of a slider that can be heard, evenly over its way."""

_SCORES = (
    "sdot",
    "low",
    "high",
    "purity",
    "purity_p25",
    "monotonicity",
    "range",
    "smoothness",
    "leak",
    "leaks_to",
    "null",
    "reference",
    "open_loop_error",
    "broken_ends",
    "ends",
    "n",
)


def write_sliders(folder: Path, found: Found, test: Sequence[Playable]) -> None:
    """Write `sliders.csv`, `responses.csv` and `traversals/<axis>_<position>.wav`."""
    heads = ("axis", "family", "unit", "kind", "operator", "lowest", "highest", "verdict", "why")
    rows = []
    for slider in found.mapper.sliders.values():
        about = (slider.axis, slider.family, slider.unit, slider.kind, slider.operator)
        scores = [slider.scores.get(name, "") for name in _SCORES]
        rows.append([*about, *slider.reach, slider.verdict, slider.why, *scores])
    write_csv(folder / "sliders.csv", [*heads, *_SCORES], rows)
    write_csv(
        folder / "responses.csv",
        ["candidate", *(axis.name for axis in AXES)],
        ([name, *map(float, moves)] for name, moves in found.responses.items()),
    )
    _write_traversals(folder / "traversals", found, test)


def _write_traversals(folder: Path, found: Found, test: Sequence[Playable]) -> None:
    """Of every slider on the test sound that has the most of what it moves."""
    for slider in found.mapper.sliders.values():
        if not slider.amounts or not test or slider.kind == "none":
            continue
        sound = next((s for s in test if _has(s, slider.axis)), None)
        if sound is None:
            continue
        for index, move in enumerate(np.linspace(*slider.reach, TRAVERSED)):
            audio = sound.moved(slider.amounts_of(float(move)), found.mapper.directions)
            place = folder / f"{slider.axis}_{index}.wav"
            write_wav(place, audio, sound.model.sample_rate_hz, made="slider")


def _has(sound: Playable, axis: str) -> bool:
    return bool(np.isfinite(on_axes(sound.measured)[PLACE[axis]]))
