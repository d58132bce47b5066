"""Controls by the names that `controls.` takes: the axis of each, and its unit."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from timbrel.errors import UserError, did_you_mean
from timbrel.generation.controls.curves import Curve

FAMILIES = {
    "timbre": ("brightness",),
    "harmony": ("pitch", "hnr"),
    "temporal": ("attack", "decay", "onsets"),
    "spatial": ("width",),
}
"""The axes of each family of sliders."""


def same(value: float) -> float:
    """The value itself."""
    return value


@dataclass(frozen=True)
class Control:
    """How a control names a move of an axis: absolute, or relative to the sound as it is."""

    axis: str
    relative: bool
    scale: Callable[[float], float]


CONTROLS = {
    "pitch_hz": Control("pitch", False, math.log2),
    "pitch_st": Control("pitch", True, lambda semitones: semitones / 12),
    "brightness_hz": Control("brightness", False, math.log2),
    "brightness_octaves": Control("brightness", True, same),
    "hnr_db": Control("hnr", False, same),
    "hnr_change_db": Control("hnr", True, same),
    "attack_ms": Control("attack", False, lambda ms: math.log10(ms / 1000)),
    "attack_times": Control("attack", True, math.log10),
    "decay_db_per_s": Control("decay", False, math.log2),
    "decay_times": Control("decay", True, math.log2),
    "onsets_per_s": Control("onsets", False, math.log2),
    "speed_times": Control("onsets", True, math.log2),
    "width": Control("width", False, same),
    "width_change": Control("width", True, same),
    "level_lufs": Control("level", False, same),
    "level_db": Control("level", True, same),
}
"""By the names that `controls.` takes; `scale` brings a value to the unit of the axis."""

_ENDS = {"width": (0, 1), "width_change": (-1, 1)}


def check_controls(controls: Mapping[str, float | Curve]) -> None:
    """Raise UserError where one of `controls` is none, or has a value that it cannot have."""
    for name, given in controls.items():
        if name not in CONTROLS and name not in FAMILIES:
            known = [*CONTROLS, *FAMILIES]
            hint = did_you_mean(name, known)
            raise UserError(f"controls.{name}: no such control ({', '.join(known)}){hint}")
        for value in given.values if isinstance(given, Curve) else (given,):
            low, high = (-1, 1) if name in FAMILIES else _ENDS.get(name, (-math.inf, math.inf))
            if not low <= value <= high:
                raise UserError(f"controls.{name}={value:g}: between {low} and {high}")
            try:
                finite = name in FAMILIES or math.isfinite(CONTROLS[name].scale(value))
            except ValueError:  # the logarithm of nothing
                finite = False
            if not finite:
                raise UserError(f"controls.{name}={value:g}: above 0")
