"""What a render takes beside its source, and what it is before it is decoded."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from timbrel.config.bounds import check_values, refuse
from timbrel.config.generate_schema import GenerateConfig
from timbrel.config.sources import ends, pair_problems, span_problems
from timbrel.contracts import Latent
from timbrel.errors import UserError
from timbrel.generation.controls.mapper import Landing
from timbrel.generation.prior.draw import Draw
from timbrel.generation.prior.recordings import Nearest

Samples = NDArray[np.float32]  # channel time
Input = Path | str
"""A file, or `preset:NAME`."""

VARIATIONS = ("vary", "between", "continue", "fill")
"""Sources that are made of files or presets, beside a file itself."""
LONGEST_CONTROLLED_S = 600
"""A sound with controls is held in memory."""
OF_INPUT = (*VARIATIONS, "preset")

TAKEN_BY = {
    "novelty": ("prior",),
    "temperature": ("prior", "continue"),
    "length": ("prior", "vary", "between"),
    "strength": ("vary",),
    "position": ("between",),
    "position_to": ("between",),
    "span": ("fill",),
}
_FLOATS = (
    "novelty",
    "temperature",
    "length",
    "strength",
    "position",
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
    kind = source if isinstance(source, str) and source in ("prior", *OF_INPUT) else "file"
    refuse(pair_problems(kind, input, to))
    input, to = ends(input, to)
    default = RenderSettings()
    for key, takers in TAKEN_BY.items():
        value = getattr(settings, key)
        if value != getattr(default, key) and kind not in takers:
            raise UserError(
                f"{key}={value}: only source={' or '.join(takers)} takes it; leave it out"
            )
    if attributes and kind != "prior":
        raise UserError("attributes: only source=prior chooses by them; leave them out")
    for key, value, takers in (("input", input, OF_INPUT), ("to", to, ("between",))):
        if value is None and kind in takers:
            what = "NAME" if kind == "preset" else "FILE"
            raise UserError(f"source={kind} needs {key}={what}")
        if value is not None and kind not in takers:
            raise UserError(f"{key}={value}: only source={' or '.join(takers)} takes it here")
    refuse(span_problems(kind, settings.span))
    return kind
