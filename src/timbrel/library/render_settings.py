"""What a render takes beside its source, and what it is before it is decoded."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from timbrel.audio.origin import tag
from timbrel.config.bounds import check_values, refuse
from timbrel.config.generate_schema import GenerateConfig
from timbrel.config.generate_sections import FileConfig, MidiConfig
from timbrel.config.sources import ends, pair_problems, span_problems
from timbrel.contracts import Latent
from timbrel.errors import UserError, did_you_mean
from timbrel.generation.controls.mapper import Landing
from timbrel.generation.prior.draw import Draw
from timbrel.generation.prior.recordings import Nearest
from timbrel.library.bundle import Bundle

Samples = NDArray[np.float32]  # channel time
Input = Path | str
"""A file, or `preset:NAME`."""

Section = TypeVar("Section", FileConfig, MidiConfig)

AUTO = "auto"
"""What `file.transpose` takes beside semitones: octaves, into the range of the recordings."""
VARIATIONS = ("vary", "between", "continue", "fill")
"""Sources that are made of files or presets, beside a file itself."""
LONGEST_CONTROLLED_S = 600
"""A sound with controls is held in memory."""
OF_INPUT = (*VARIATIONS, "preset", "midi")
DRAWN = ("prior", "midi", "keys")
"""Sources whose sound is a new one."""

TAKEN_BY = {
    "novelty": DRAWN,
    "temperature": ("prior", "continue", "midi", "keys"),
    "length": ("prior", "vary", "between"),
    "strength": ("vary",),
    "position": ("between",),
    "position_to": ("between",),
    "span": ("fill",),
    "sound": ("midi", "keys"),
    "variety": ("midi", "keys"),
    "file": ("file",),
    "midi": ("midi",),
}
_FLOATS = (
    "novelty",
    "temperature",
    "length",
    "strength",
    "position",
    "variety",
    "gain_db",
    "fade_in_s",
    "fade_out_s",
)


@dataclass(frozen=True)
class RenderSettings:
    """The settings of a render, beside its source. Raises UserError naming the key."""

    seconds: float | None = None
    seed: int = 0
    novelty: float = 0.0
    temperature: float = 1.0
    length: float = 1.0
    strength: float = 0.5
    position: float = 0.5
    position_to: float | None = None
    span: tuple[float, ...] = ()
    sound: str | None = None
    variety: float = 0.0
    file: FileConfig = field(default_factory=FileConfig)
    midi: MidiConfig = field(default_factory=MidiConfig)
    gain_db: float = 0.0
    fade_in_s: float = 0.0
    fade_out_s: float = 0.01
    precise: bool = False

    def __post_init__(self) -> None:
        # One type each: 3 and 3.0 would be written into a file's metadata differently.
        object.__setattr__(self, "seed", int(self.seed))
        object.__setattr__(self, "precise", bool(self.precise))
        for key in _FLOATS:
            object.__setattr__(self, key, float(getattr(self, key)))
        object.__setattr__(self, "span", tuple(map(float, self.span)))
        object.__setattr__(self, "sound", None if self.sound is None else str(self.sound))
        object.__setattr__(self, "file", _section(FileConfig, "file", self.file))
        object.__setattr__(self, "midi", _section(MidiConfig, "midi", self.midi))
        if isinstance(self.file.transpose, str) and self.file.transpose != AUTO:
            shown = self.file.transpose
            raise UserError(f"file.transpose={shown}: {AUTO}, or a number of semitones")
        # The command line has `precise` among its controls.
        check_values(GenerateConfig, **{k: v for k, v in asdict(self).items() if k != "precise"})


@dataclass(frozen=True)
class Rendering:
    """A render whose checks have passed: `blocks` (channel time) can be read once."""

    blocks: Iterator[Samples]
    draw: Draw
    n_samples: int
    rate_hz: int
    metadata: Mapping[str, Any]
    own_samples: int | None = None
    """Where a new sound with an end of its own ends, by itself or because it was cut."""
    cut: bool = False
    """Whether `seconds` cut it before its own end."""
    attributes: Mapping[str, float | None] = field(default_factory=dict)
    """Of a new sound that was chosen by attributes, what they are as far as it is known."""
    nearest: Nearest | None = None
    """Of a new sound that was compared with the recordings, the nearest one."""
    landings: tuple[Landing, ...] = ()
    """Of a sound with controls, what each came to."""
    notices: tuple[str, ...] = ()
    """Of a song, what was played, and what otherwise than it is written."""


def rendering_metadata(
    bundle: Bundle, kind: str, label: str, settings: RenderSettings, n_samples: int
) -> dict[str, Any]:
    """What the file of every rendering of `n_samples` tells."""
    values = {k: v for k, v in asdict(settings).items() if kind in TAKEN_BY.get(k, [kind])}
    values.pop("file", None)  # told where it is set, with what became of it
    if values.get("sound") is not None:
        values["sound"] = tag(Path(values["sound"]).name)  # no folder: paths are private
    return {
        "title": tag(f"{bundle.card.name} {label}"),
        "model": tag(bundle.card.name),
        "model_hash": bundle.card.model_hash,
        "source": tag(label),
        **values,
        # What it is, not what was asked for: the default and the same length written out agree.
        "seconds": round(n_samples / bundle.model.sample_rate_hz, 6),
    }


def check_takes(
    source: str | Path | Latent,
    settings: RenderSettings,
    *,
    input: Input | Sequence[Input] | None,
    to: Input | None,
    attributes: Mapping[str, float] | None = None,
) -> str:
    """The kind of `source`: `file` or the one that it names.

    Raises UserError where it does not take a setting that is set, or lacks a file.
    """
    named = isinstance(source, str) and source in ("prior", "keys", *OF_INPUT)
    kind = str(source) if named else "file"
    refuse(pair_problems(kind, input, to))
    input, to = ends(input, to)
    default = RenderSettings()
    for key, takers in TAKEN_BY.items():
        value = getattr(settings, key)
        if value != getattr(default, key) and kind not in takers:
            shown = f"{key}.*" if key in ("file", "midi") else f"{key}={value}"
            raise UserError(f"{shown}: only source={_either(takers)} takes it; leave it out")
    if attributes and kind not in DRAWN:
        raise UserError(f"attributes: only source={_either(DRAWN)} chooses by them; leave them out")
    if settings.sound is not None:
        for key, given in (
            ("attributes", bool(attributes)),
            ("novelty", settings.novelty != default.novelty),
            ("temperature", settings.temperature != default.temperature),
        ):
            if given:
                raise UserError(f"{key}: of a new sound, but sound={settings.sound} is given")
    for key, value, takers in (("input", input, OF_INPUT), ("to", to, ("between",))):
        if value is None and kind in takers:
            what = "NAME" if kind == "preset" else "FILE"
            raise UserError(f"source={kind} needs {key}={what}")
        if value is not None and kind not in takers:
            raise UserError(f"{key}={value}: only source={_either(takers)} takes it here")
    refuse(span_problems(kind, settings.span))
    return kind


def _either(names: Sequence[str]) -> str:
    """`a, b or c`."""
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _section(schema: type[Section], key: str, given: Section | Mapping[str, Any]) -> Section:
    """The section `key` of these values.

    Raises UserError for one that is none, or out of bounds.
    """
    values = dict(given) if isinstance(given, Mapping) else asdict(given)
    known = asdict(schema())
    for name in values:
        if name not in known:
            hint = did_you_mean(name, known)
            raise UserError(f"{key}.{name}: no such setting ({', '.join(known)}){hint}")
    check_values(schema, f"{key}.", **values)
    typed = {k: type(known[k])(v) for k, v in values.items() if not isinstance(v, str | None)}
    return schema(**typed | {k: v for k, v in values.items() if isinstance(v, str)})
