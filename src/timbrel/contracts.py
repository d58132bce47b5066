"""What the layers hand one another: conditions, latents, posteriors, batches.

Axes: `batch channel time` for audio (float32, nominally -1...1), `batch latent frame` for frame
codes, `batch latent` for clip codes. Either latent width may be 0.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Conditions:
    """Optional controls for decoders that need them (DDSP); empty elsewhere.

    `first_frame` says where in its sound the code begins (0 if None): a decoder that mixes in noise
    draws it by position, so that a stream and a whole file are the same sound.
    """

    f0_hz: Float[Tensor, "batch frame"] | None = None
    confidence: Float[Tensor, "batch frame"] | None = None
    loudness_db: Float[Tensor, "batch frame"] | None = None
    first_frame: Int[Tensor, " batch"] | None = None

    def map(self, function: Callable[[Tensor], Tensor]) -> "Conditions":
        """The same conditions with `function` applied to every tensor present."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return Conditions(**{k: None if v is None else function(v) for k, v in values.items()})


@dataclass(frozen=True)
class Latent:
    """A code: one vector per frame and one per clip (attack, decay, width: what no frame holds)."""

    frames: Float[Tensor, "batch latent frame"]
    clip: Float[Tensor, "batch clip_latent"]

    def map(self, function: Callable[[Tensor], Tensor]) -> "Latent":
        """The same code with `function` applied to both parts."""
        return Latent(function(self.frames), function(self.clip))


@dataclass(frozen=True)
class Posterior:
    """q(z|x): a diagonal Gaussian, or a point when `log_var` is None."""

    mean: Latent
    log_var: Latent | None


@dataclass(frozen=True)
class Batch:
    """One training or validation batch.

    `input` is what the encoder sees and `target` what the decoder must give back; they differ
    where the encoder's view is masked. `start_sample` is the chunk's first sample in its clip and
    may be negative where a short clip was placed inside a longer chunk. `attributes` holds one
    column per attribute of the chunk, `frame_attributes` one row per attribute and latent frame;
    their order is the loader's, and their masks say where a value is defined. All four are empty,
    of sizes 0, where nothing is measured.
    """

    input: Float[Tensor, "batch channel time"]
    target: Float[Tensor, "batch channel time"]
    clip_id: Int[Tensor, " batch"]
    start_sample: Int[Tensor, " batch"]
    conditions: Conditions = field(default_factory=Conditions)
    attributes: Float[Tensor, "batch attribute"] | Float[Tensor, "0 0"] = field(
        default_factory=lambda: torch.zeros(0, 0)
    )
    attribute_mask: Bool[Tensor, "batch attribute"] | Bool[Tensor, "0 0"] = field(
        default_factory=lambda: torch.zeros(0, 0, dtype=torch.bool)
    )
    frame_attributes: Float[Tensor, "batch frame_attribute frame"] | Float[Tensor, "0 0 0"] = field(
        default_factory=lambda: torch.zeros(0, 0, 0)
    )
    frame_attribute_mask: Bool[Tensor, "batch frame_attribute frame"] | Bool[Tensor, "0 0 0"] = (
        field(default_factory=lambda: torch.zeros(0, 0, 0, dtype=torch.bool))
    )

    def map(self, function: Callable[[Tensor], Tensor]) -> "Batch":
        """The same batch with `function` applied to every tensor."""
        values: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        conditions = values.pop("conditions").map(function)
        return Batch(conditions=conditions, **{k: function(v) for k, v in values.items()})

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> "Batch":
        """The batch on `device`."""
        return self.map(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "Batch":
        """The batch in page-locked memory (called by `DataLoader(pin_memory=True)`)."""
        return self.map(lambda tensor: tensor.pin_memory())
