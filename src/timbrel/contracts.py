"""Data that passes between the layers: conditions, latents, posteriors, batches.

Axes: `batch channel time` for audio (float32, nominally -1...1), `batch latent frame` for frame
codes, `batch latent` for clip codes. Either latent width may be 0.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from jaxtyping import Bool, Complex, Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Conditions:
    """Optional controls for decoders that need them (DDSP); empty elsewhere.

    `f0_hz`, `confidence` (0 to 1), `loudness_db`, `centroid_hz` and `hnr_db` (how far what is tonal
    stands out from all else) are tracks, a value per latent frame. So are three controls, which no
    sound is measured for: `balance_db`, by how much what is tonal shall stand out from the noise
    more than was learned, `more_tilt_db`, by how many decibels per octave more than by itself
    a decoder may tilt its spectrum, so that it is as bright as `centroid_hz`, and
    `transposed_octaves`, how far `f0_hz` lies above that of the sound that the code is of: partials
    that are none of f0 go along.
    `first_frame` says where in its sound the code begins (0 if None): a decoder that mixes in noise
    draws it by position, so that a stream and a whole file are the same sound. `first_cycle` is the
    phase of f0 at the middle of the first frame, in periods (0 if None).
    """

    f0_hz: Float[Tensor, "batch frame"] | None = None
    confidence: Float[Tensor, "batch frame"] | None = None
    loudness_db: Float[Tensor, "batch frame"] | None = None
    centroid_hz: Float[Tensor, "batch frame"] | None = None
    hnr_db: Float[Tensor, "batch frame"] | None = None
    balance_db: Float[Tensor, "batch frame"] | None = None
    more_tilt_db: Float[Tensor, "batch frame"] | None = None
    transposed_octaves: Float[Tensor, "batch frame"] | None = None
    first_frame: Int[Tensor, " batch"] | None = None
    first_cycle: Float[Tensor, " batch"] | None = None

    @property
    def tracks(self) -> dict[str, Tensor]:
        """The tracks that are there, by name, in the order of `TRACKS`."""
        found = {name: getattr(self, name) for name in TRACKS}
        return {name: track for name, track in found.items() if track is not None}

    @property
    def per_frame(self) -> dict[str, Tensor]:
        """All that has a value per frame: the tracks, and the controls that are given."""
        controls = {name: getattr(self, name) for name in CONTROLS}
        return self.tracks | {k: v for k, v in controls.items() if v is not None}

    def map(self, function: Callable[[Tensor], Tensor]) -> "Conditions":
        """The same conditions with `function` applied to every tensor present."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return Conditions(**{k: None if v is None else function(v) for k, v in values.items()})

    def cut(self, start: int, stop: int | None = None) -> "Conditions":
        """The frames from `start` to `stop`; where a position is given, it moves along.

        A phase does not: whoever cuts frames off the beginning gives it anew.
        """
        first = None if self.first_frame is None else self.first_frame + start
        tracks = {name: track[:, start:stop] for name, track in self.per_frame.items()}
        return Conditions(**tracks, first_frame=first)


TRACKS = ("f0_hz", "confidence", "loudness_db", "centroid_hz", "hnr_db")
"""The conditions that are measured, a value per frame."""

CONTROLS = ("balance_db", "more_tilt_db", "transposed_octaves")
"""Those that no sound is measured for, a value per frame."""


@dataclass(frozen=True)
class Latent:
    """A code: one vector per frame and one per clip (attack, decay, width: what no frame holds).

    `conditions` are those that the decoder needs beside the code; whatever carries the code carries
    them along.
    """

    frames: Float[Tensor, "batch latent frame"]
    clip: Float[Tensor, "batch clip_latent"]
    conditions: Conditions = field(default_factory=Conditions)

    @property
    def n_frames(self) -> int:
        """How many frames it has."""
        return self.frames.shape[2]

    def map(self, function: Callable[[Tensor], Tensor]) -> "Latent":
        """The same code with `function` applied to every tensor."""
        return Latent(function(self.frames), function(self.clip), self.conditions.map(function))

    def cut(self, start: int, stop: int | None = None) -> "Latent":
        """The frames from `start` to `stop`, with the same clip code."""
        return Latent(self.frames[:, :, start:stop], self.clip, self.conditions.cut(start, stop))


def joined(blocks: Sequence[Latent]) -> Latent:
    """Consecutive frames of one sound as one code, with the first block's clip code and position.

    Raises:
        ValueError: the blocks do not have the same tracks.
    """
    names = {tuple(block.conditions.per_frame) for block in blocks}
    if len(names) != 1:
        raise ValueError(f"blocks with different tracks: {sorted(names)}")
    tracks = {
        name: torch.cat([block.conditions.per_frame[name] for block in blocks], dim=1)
        for name in names.pop()
    }
    first = blocks[0]
    return Latent(
        torch.cat([block.frames for block in blocks], dim=2),
        first.clip,
        Conditions(**tracks, first_frame=first.conditions.first_frame),
    )


@dataclass(frozen=True)
class DecoderState:
    """What a decoder carries on from frame to frame, for each of some frames; nothing by default.

    A phase is a complex number of length 1; `hidden` is the state of a recurrent network after the
    frame.
    """

    phases: Complex[Tensor, "batch frame phase"] | None = None
    hidden: Float[Tensor, "batch frame width"] | None = None

    def cut(self, start: int, stop: int | None = None) -> "DecoderState":
        """That of the frames from `start` to `stop`."""
        phases, hidden = (
            None if x is None else x[:, start:stop] for x in (self.phases, self.hidden)
        )
        return DecoderState(phases, hidden)


@dataclass(frozen=True)
class Decoded:
    """What a code decodes to, and what a decoder carries on, for all of its frames."""

    audio: Float[Tensor, "batch channel time"]
    state: DecoderState = field(default_factory=DecoderState)


@dataclass(frozen=True)
class Posterior:
    """q(z|x): a diagonal Gaussian, or deterministic (a point) if `log_var` is None."""

    mean: Latent
    log_var: Latent | None

    def map(self, function: Callable[[Tensor], Tensor]) -> "Posterior":
        """The same posterior with `function` applied to every tensor."""
        log_var = None if self.log_var is None else self.log_var.map(function)
        return Posterior(self.mean.map(function), log_var)

    def cut(self, start: int, stop: int | None = None) -> "Posterior":
        """The frames from `start` to `stop`."""
        log_var = None if self.log_var is None else self.log_var.cut(start, stop)
        return Posterior(self.mean.cut(start, stop), log_var)


@dataclass(frozen=True)
class Columns:
    """Measured attributes of a batch, by name: one column each, and where they are defined.

    Of whole chunks (`batch attribute`) or of their latent frames (`batch attribute frame`).
    """

    names: tuple[str, ...] = ()
    values: Float[Tensor, "batch attribute"] | Float[Tensor, "batch attribute frame"] = field(
        default_factory=lambda: torch.zeros(0, 0)
    )
    defined: Bool[Tensor, "batch attribute"] | Bool[Tensor, "batch attribute frame"] = field(
        default_factory=lambda: torch.zeros(0, 0, dtype=torch.bool)
    )

    def of(self, names: Sequence[str]) -> tuple[Tensor, Tensor]:
        """The values of `names` in their order, and where they are defined.

        Raises:
            ValueError: one of them was not measured.
        """
        lacking = [name for name in names if name not in self.names]
        if lacking:
            has = ", ".join(self.names) or "none"
            raise ValueError(f"the batch lacks {', '.join(lacking)}; it has {has}")
        index = [self.names.index(name) for name in names]
        return self.values[:, index], self.defined[:, index]

    def map(self, function: Callable[[Tensor], Tensor]) -> "Columns":
        """The same columns with `function` applied to both tensors."""
        return Columns(self.names, function(self.values), function(self.defined))


@dataclass(frozen=True)
class Batch:
    """One training or validation batch.

    `input` is what the encoder sees and `target` what the decoder must give back; they differ
    where the encoder's view is masked, and in counterfactual pairs: there `target`, the conditions
    and the attributes are those of a changed sound. Where `code_speed` is given, so many frames of
    the code of `input`, which may be longer, pass in one frame of `target`, in whose time the
    decoder needs it. `start_sample` is the chunk's first sample in its clip and may be negative
    where a short clip was placed inside a longer chunk. `attributes` are those of the chunk,
    `frame_attributes` those of its latent frames, both empty where nothing is measured.
    """

    input: Float[Tensor, "batch channel input_time"]
    target: Float[Tensor, "batch channel time"]
    clip_id: Int[Tensor, " batch"]
    start_sample: Int[Tensor, " batch"]
    conditions: Conditions = field(default_factory=Conditions)
    attributes: Columns = field(default_factory=Columns)
    frame_attributes: Columns = field(default_factory=Columns)
    code_speed: Float[Tensor, " batch"] | None = None

    def map(self, function: Callable[[Tensor], Tensor]) -> "Batch":
        """The same batch with `function` applied to every tensor."""
        values: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        return Batch(
            **{
                k: function(v) if isinstance(v, Tensor) else v.map(function)
                for k, v in values.items()
                if v is not None
            }
        )

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> "Batch":
        """The batch on `device`."""
        return self.map(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "Batch":
        """The batch in page-locked memory (called by `DataLoader(pin_memory=True)`)."""
        return self.map(lambda tensor: tensor.pin_memory())
