"""The mapper: controls that a musician names, as amounts of what moves a model's sounds.

Every slider stands for one axis (`metrics.sliders.AXES`) and moves it by one operator or one
direction of the code. Knots say how far the axis moves by which amount, so that its units are real.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from timbrel.attributes.measurement import measure
from timbrel.errors import UserError, did_you_mean
from timbrel.files import write_bytes, write_text
from timbrel.generation.controls.apply import Audio, Playable
from timbrel.metrics.sliders import PLACE, on_axes

FORMAT = 1
_RECORD, _TENSORS = "mapper.json", "mapper.safetensors"
_CORRECTIONS = 4
_CLOSE = 0.02  # of the way that was asked for

Array = NDArray[np.float64]

FAMILIES = {
    "timbre": ("brightness",),
    "harmony": ("pitch", "hnr"),
    "temporal": ("attack", "decay", "onsets"),
    "spatial": ("width",),
}
"""The axes of each family of sliders."""


@dataclass(frozen=True)
class Slider:
    """A slider: what it moves, by what, how far, and how well.

    `kind` is `operator`, `direction` (of the code, by its name in the mapper) or `gain`. `amounts`
    rise or fall, and move the axis by `moves`, which rise, in its unit, 0 by 0. `mends` are amounts
    of other operators, which make up for what else is moved. `verdict` is `ok`, `weak`, `dsp` or
    `not held`, `why` the reason of all but the first; `scores` are those of `analysis.sliders`.
    """

    axis: str
    family: str
    unit: str
    kind: str
    operator: str
    amounts: tuple[float, ...]
    moves: tuple[float, ...]
    mends: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    verdict: str = "ok"
    why: str = ""
    scores: Mapping[str, Any] = field(default_factory=dict)

    @property
    def reach(self) -> tuple[float, float]:
        """How far it moves the axis down and up, in its unit."""
        return (min(self.moves), max(self.moves)) if self.moves else (0.0, 0.0)

    def reaches(self, move: float) -> bool:
        """Whether it moves the axis so far; a gain always does."""
        low, high = self.reach
        return self.kind == "gain" or low - 1e-9 <= move <= high + 1e-9

    def amounts_of(self, move: float) -> dict[str, float]:
        """The amounts that move the axis by `move`, cut to the slider's reach; a gain has none."""
        if self.kind == "gain":
            return {self.operator: move}
        ways = {self.operator: self.amounts, **self.mends}
        return {name: float(np.interp(move, self.moves, way)) for name, way in ways.items()}


@dataclass(frozen=True, eq=False)
class Mapper:
    """All sliders of a model by axis, and the directions that some of them take.

    `ranges` are the 5 to 95 % of the training recordings on every axis.
    """

    sliders: Mapping[str, Slider]
    directions: Mapping[str, Array]
    ranges: Mapping[str, tuple[float, float]]
    profile: str = "full"

    def amounts(self, moves: Mapping[str, float]) -> dict[str, float]:
        """The amounts of all operators that move the axes so; those of one add up.

        A note that is played higher has its whole spectrum higher: a brightness that is asked for
        with a pitch is moved by what is left of it.
        """
        own = dict(moves)
        if "brightness" in own and "pitch" in own and self.sliders["pitch"].operator == "pitch":
            own["brightness"] -= own["pitch"]
        amounts: dict[str, float] = {}
        for axis, move in own.items():
            for operator, amount in self.sliders[axis].amounts_of(move).items():
                amounts[operator] = amounts.get(operator, 0.0) + amount
        return amounts

    def save(self, folder: Path) -> None:
        """Write it into `folder`."""
        record = {
            "format": FORMAT,
            "profile": self.profile,
            "ranges": {axis: list(ends) for axis, ends in self.ranges.items()},
            "sliders": [asdict(slider) for slider in self.sliders.values()],
        }
        write_text(folder / _RECORD, json.dumps(record, indent=1, allow_nan=False) + "\n")
        tensors = {name: np.ascontiguousarray(d) for name, d in self.directions.items()}
        write_bytes(folder / _TENSORS, save(tensors))


def load_mapper(folder: Path) -> Mapper:
    """Read what `Mapper.save` wrote.

    Raises UserError where a file is missing or damaged, or of a later timbrel.
    """
    try:
        record = json.loads((folder / _RECORD).read_text("utf-8"))
        if int(record["format"]) > FORMAT:
            raise UserError(f"'{folder}' is of a later timbrel; update timbrel, or {_AGAIN}")
        sliders = [
            Slider(**_tuples(values) | {"mends": _tuples(values["mends"])})
            for values in record["sliders"]
        ]
        return Mapper(
            sliders={slider.axis: slider for slider in sliders},
            directions=load_file(folder / _TENSORS),
            ranges={axis: (float(a), float(b)) for axis, (a, b) in record["ranges"].items()},
            profile=str(record["profile"]),
        )
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise UserError(f"'{folder}' cannot be read: {error}; {_AGAIN}") from error


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}


_AGAIN = "make it again: timbrel analyze run=RUN"


def _same(value: float) -> float:
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
    "brightness_octaves": Control("brightness", True, _same),
    "hnr_db": Control("hnr", False, _same),
    "hnr_change_db": Control("hnr", True, _same),
    "attack_ms": Control("attack", False, lambda ms: math.log10(ms / 1000)),
    "attack_times": Control("attack", True, math.log10),
    "decay_db_per_s": Control("decay", False, math.log2),
    "decay_times": Control("decay", True, math.log2),
    "onsets_per_s": Control("onsets", False, math.log2),
    "speed_times": Control("onsets", True, math.log2),
    "width": Control("width", False, _same),
    "width_change": Control("width", True, _same),
    "level_lufs": Control("level", False, _same),
    "level_db": Control("level", True, _same),
}
"""By the names that `controls.` takes; `scale` brings a value to the unit of the axis."""


_ENDS = {"width": (0, 1), "width_change": (-1, 1)}


def check_controls(controls: Mapping[str, float]) -> None:
    """Raise UserError where one of `controls` is none, or has a value that it cannot have."""
    for name, value in controls.items():
        if name not in CONTROLS and name not in FAMILIES:
            known = [*CONTROLS, *FAMILIES]
            hint = did_you_mean(name, known)
            raise UserError(f"controls.{name}: no such control ({', '.join(known)}){hint}")
        low, high = (-1, 1) if name in FAMILIES else _ENDS.get(name, (-math.inf, math.inf))
        if not low <= value <= high:
            raise UserError(f"controls.{name}={value:g}: between {low} and {high}")
        try:
            finite = name in FAMILIES or math.isfinite(CONTROLS[name].scale(value))
        except ValueError:  # the logarithm of nothing
            finite = False
        if not finite:
            raise UserError(f"controls.{name}={value:g}: above 0")


@dataclass(frozen=True)
class Landing:
    """What became of one control: the value of its axis that was asked for, and what it came to."""

    control: str
    asked: float
    found: float | None
    reached: bool
    """False where the slider does not reach so far."""

    @property
    def words(self) -> str:
        """What it came to, in the unit of the control and, of a move, as a value of its axis."""
        if self.found is None:
            return "unknown"
        axis = self.control if self.control in FAMILIES else CONTROLS[self.control].axis
        shown, unit = _SHOWN.get(axis, (_same, ""))
        text = f"{shown(self.found):.4g} {unit}".rstrip()
        return f"{text} (asked {shown(self.asked):.4g})"


_SHOWN: dict[str, tuple[Callable[[float], float], str]] = {
    "pitch": (lambda x: 2**x, "Hz"),
    "brightness": (lambda x: 2**x, "Hz"),
    "hnr": (_same, "dB"),
    "attack": (lambda x: 1000 * 10**x, "ms"),
    "decay": (lambda x: 2**x, "dB/s"),
    "onsets": (lambda x: 2**x, "per s"),
    "level": (_same, "LUFS"),
}


@dataclass(frozen=True)
class Controlled:
    """A sound with controls, (channel time), and where each landed."""

    audio: Audio
    landings: tuple[Landing, ...]


def controlled(
    sound: Playable, mapper: Mapper, controls: Mapping[str, float], *, precise: bool, name: str
) -> Controlled:
    """`sound` moved by `controls`, several at once; with `precise` corrected up to four times.

    Raises UserError where a control names an axis that the model does not hold, that the sound does
    not have, or a family without a slider.
    """
    wanted = _wanted(sound, mapper, controls, name)
    start = on_axes(sound.measured)
    asked = {axis: move for axis, (_, move) in wanted.items()}
    aims = dict(asked)
    tried: list[tuple[float, Audio, Array]] = []
    for _ in range(_CORRECTIONS + 1 if precise else 1):
        audio = sound.moved(mapper.amounts(aims), mapper.directions)
        found = on_axes(measure(audio, sound.model.sample_rate_hz))
        gaps = {axis: asked[axis] - (found - start)[PLACE[axis]] for axis in asked}
        gaps = {axis: gap for axis, gap in gaps.items() if math.isfinite(gap)}
        worst = max((abs(gap) / max(abs(asked[a]), 1e-6) for a, gap in gaps.items()), default=0.0)
        tried.append((worst, audio, found))
        if worst < _CLOSE:
            break
        aims = {axis: aim + gaps.get(axis, 0.0) for axis, aim in aims.items()}
    _, audio, found = min(tried, key=lambda one: one[0])
    return Controlled(
        audio,
        tuple(
            Landing(
                control,
                float(start[PLACE[axis]] + asked[axis]),
                _finite(found[PLACE[axis]]),
                mapper.sliders[axis].reaches(asked[axis]),
            )
            for axis, (control, _) in wanted.items()
        ),
    )


def _wanted(
    sound: Playable, mapper: Mapper, controls: Mapping[str, float], name: str
) -> dict[str, tuple[str, float]]:
    """By axis the control that asks for it, and the move of the axis."""
    start = on_axes(sound.measured)
    wanted: dict[str, tuple[str, float]] = {}
    for control, value in controls.items():
        if control in FAMILIES:
            axis = family_axis(mapper, control, name)
            low, high = mapper.sliders[axis].reach
            move = value * (high if value > 0 else -low)
        else:
            how = CONTROLS[control]
            axis = how.axis
            move = how.scale(value) if how.relative else how.scale(value) - start[PLACE[axis]]
        slider = mapper.sliders.get(axis)
        if slider is None or slider.verdict == "not held":
            why = slider.why if slider else "it has no such slider"
            raise UserError(f"controls.{control}: '{name}' cannot move {axis}: {why}")
        if not math.isfinite(start[PLACE[axis]]):
            raise UserError(f"controls.{control}: this sound has no {axis} to move; leave it out")
        if axis in wanted:
            raise UserError(
                f"controls.{control} and controls.{wanted[axis][0]}: both move {axis}; give one"
            )
        wanted[axis] = control, move
    return wanted


def family_axis(mapper: Mapper, family: str, name: str) -> str:
    """The axis that a family's slider moves: the best of its sliders."""
    held = [mapper.sliders[a] for a in FAMILIES[family] if a in mapper.sliders]
    held = [slider for slider in held if slider.verdict != "not held"]
    if not held:
        raise UserError(f"controls.{family}: '{name}' has no slider of this family")
    return max(held, key=lambda slider: float(slider.scores.get("sdot", 0.0))).axis


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
