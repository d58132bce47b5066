"""The mapper: controls that a musician names, as amounts of what moves a model's sounds.

Every slider stands for one axis (`metrics.sliders.AXES`) and moves it by one operator or one
direction of the code. Knots say how far the axis moves by which amount, so that its units are real.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from timbrel.attributes.measurement import measure
from timbrel.errors import UserError
from timbrel.files import write_bytes, write_text
from timbrel.generation.controls.apply import Audio, Playable
from timbrel.generation.controls.courses import course, family_course
from timbrel.generation.controls.curves import Curve
from timbrel.generation.controls.named import CONTROLS, FAMILIES, same
from timbrel.generation.controls.operators import OPERATORS
from timbrel.generation.controls.varying import Amount, added, on, through
from timbrel.metrics.sliders import PLACE, on_axes

FORMAT = 1
_RECORD, _TENSORS = "mapper.json", "mapper.safetensors"
_CORRECTIONS = 4
_CLOSE = 0.02  # of the way that was asked for

Array = NDArray[np.float64]


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

    @property
    def varies(self) -> bool:
        """Whether it can move the axis over time."""
        by_operator = self.operator in OPERATORS and OPERATORS[self.operator].varies
        return self.verdict != "not held" and (self.kind == "direction" or by_operator)

    def reaches(self, move: float | Array) -> bool:
        """Whether it moves the axis so far, everywhere; a gain always does."""
        low, high = self.reach
        return self.kind == "gain" or (
            low - 1e-9 <= float(np.min(move)) and float(np.max(move)) <= high + 1e-9
        )

    def amounts_of(self, move: Amount) -> dict[str, Amount]:
        """The amounts that move the axis by `move`, cut to the slider's reach; a gain has none."""
        if self.kind == "gain":
            return {self.operator: move}
        ways = {self.operator: self.amounts, **self.mends}
        return {
            name: through(move, partial(np.interp, xp=self.moves, fp=way))
            for name, way in ways.items()
        }


@dataclass(frozen=True, eq=False)
class Mapper:
    """All sliders of a model by axis, and the directions that some of them take.

    `ranges` are the 5 to 95 % of the training recordings on every axis, `tracks` the quantiles of
    their tracks (`follow.track_tables`), which an earlier timbrel did not keep.
    """

    sliders: Mapping[str, Slider]
    directions: Mapping[str, Array]
    ranges: Mapping[str, tuple[float, float]]
    profile: str = "full"
    tracks: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def amounts(self, moves: Mapping[str, Amount]) -> dict[str, Amount]:
        """The amounts of all operators that move the axes so; those of one add up.

        A note that is played higher has its whole spectrum higher: of two numbers, a brightness
        that is asked for with a pitch is moved by what is left of it.
        """
        own = dict(moves)
        numbers = {axis: move for axis, move in moves.items() if not callable(move)}
        shifts = "pitch" in numbers and self.sliders["pitch"].operator == "pitch"
        if shifts and "brightness" in numbers:
            own["brightness"] = numbers["brightness"] - numbers["pitch"]
        amounts: dict[str, Amount] = {}
        for axis, move in own.items():
            for operator, amount in self.sliders[axis].amounts_of(move).items():
                amounts[operator] = added(amounts.get(operator, 0.0), amount)
        return amounts

    def save(self, folder: Path) -> None:
        """Write it into `folder`."""
        record = {
            "format": FORMAT,
            "profile": self.profile,
            "ranges": {axis: list(ends) for axis, ends in self.ranges.items()},
            "tracks": {track: list(table) for track, table in self.tracks.items()},
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
            tracks=_tuples(record.get("tracks", {})),
        )
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise UserError(f"'{folder}' cannot be read: {error}; {_AGAIN}") from error


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}


_AGAIN = "make it again: timbrel analyze run=RUN"


@dataclass(frozen=True)
class Landing:
    """What became of one control: the value of its axis that was asked for, and what it came to.

    Of a curve nothing is known but how many `breakpoints` it has.
    """

    control: str
    asked: float
    found: float | None
    reached: bool
    """False where the slider does not reach so far."""
    breakpoints: int = 0

    @property
    def words(self) -> str:
        """What it came to, in the unit of the control and, of a move, as a value of its axis."""
        if self.breakpoints:
            return f"over time ({self.breakpoints} breakpoints)"
        if self.found is None:
            return "unknown"
        axis = self.control if self.control in FAMILIES else CONTROLS[self.control].axis
        shown, unit = _SHOWN.get(axis, (same, ""))
        text = f"{shown(self.found):.4g} {unit}".rstrip()
        return f"{text} (asked {shown(self.asked):.4g})"


_SHOWN: dict[str, tuple[Callable[[float], float], str]] = {
    "pitch": (lambda x: 2**x, "Hz"),
    "brightness": (lambda x: 2**x, "Hz"),
    "hnr": (same, "dB"),
    "attack": (lambda x: 1000 * 10**x, "ms"),
    "decay": (lambda x: 2**x, "dB/s"),
    "onsets": (lambda x: 2**x, "per s"),
    "level": (same, "LUFS"),
}


@dataclass(frozen=True)
class Controlled:
    """A sound with controls, (channel time), and where each landed."""

    audio: Audio
    landings: tuple[Landing, ...]


def controlled(
    sound: Playable,
    mapper: Mapper,
    controls: Mapping[str, float | Curve],
    *,
    precise: bool,
    name: str,
) -> Controlled:
    """`sound` moved by `controls`, several at once; with `precise` corrected up to four times.

    Raises UserError where a control names an axis that the model does not hold, that the sound does
    not have, or a family without a slider; and for a curve of what cannot move over time, or that
    `precise` should correct.
    """
    curves = {name: curve for name, curve in controls.items() if isinstance(curve, Curve)}
    if precise and curves:
        raise UserError(
            f"controls.precise: corrects numbers, and controls.{next(iter(curves))} is a curve; "
            "leave one of them out"
        )
    wanted = _wanted(sound, mapper, controls, name)
    start = on_axes(sound.measured)
    asked = {axis: move for axis, (_, move) in wanted.items() if not callable(move)}
    aims = {axis: move for axis, (_, move) in wanted.items()}
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
        aims = {axis: added(aim, gaps.get(axis, 0.0)) for axis, aim in aims.items()}
    _, audio, found = min(tried, key=lambda one: one[0])
    return Controlled(
        audio,
        tuple(
            Landing(
                control,
                float(start[PLACE[axis]] + asked.get(axis, 0.0)),
                _finite(found[PLACE[axis]]),
                mapper.sliders[axis].reaches(on(move, sound.sound)),
                len(curves[control].points) if control in curves else 0,
            )
            for axis, (control, move) in wanted.items()
        ),
    )


def _wanted(
    sound: Playable, mapper: Mapper, controls: Mapping[str, float | Curve], name: str
) -> dict[str, tuple[str, Amount]]:
    """By axis the control that asks for it, and the move of the axis."""
    start = on_axes(sound.measured)
    wanted: dict[str, tuple[str, Amount]] = {}
    for control, value in controls.items():
        family = control in FAMILIES
        axis = family_axis(mapper, control, name) if family else CONTROLS[control].axis
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
        if isinstance(value, Curve) and not slider.varies:
            can = ", ".join(axis for axis, one in mapper.sliders.items() if one.varies)
            raise UserError(
                f"controls.{control}: {axis} cannot change over time ({can} can); give a number"
            )
        wanted[axis] = control, _move(control, value, slider, float(start[PLACE[axis]]))
    return wanted


def _move(control: str, value: float | Curve, slider: Slider, start: float) -> Amount:
    """How far a control moves its axis from `start`, the sound's own value."""
    if control in FAMILIES:
        low, high = slider.reach
        if isinstance(value, Curve):
            return family_course(value, (low, high))
        return value * (high if value > 0 else -low)
    how = CONTROLS[control]
    if isinstance(value, Curve):
        return course(value, how.scale, slider.operator, None if how.relative else start)
    return how.scale(value) if how.relative else how.scale(value) - start


def family_axis(mapper: Mapper, family: str, name: str) -> str:
    """The axis that a family's slider moves: the best of its sliders."""
    held = [mapper.sliders[a] for a in FAMILIES[family] if a in mapper.sliders]
    held = [slider for slider in held if slider.verdict != "not held"]
    if not held:
        raise UserError(f"controls.{family}: '{name}' has no slider of this family")
    return max(held, key=lambda slider: float(slider.scores.get("sdot", 0.0))).axis


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
