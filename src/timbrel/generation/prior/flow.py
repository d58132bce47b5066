"""New hits and notes by flow matching: from noise, along a learned velocity, to a trajectory.

Lipman et al. 2023 with straight paths (x_t = (1 - t) x_0 + t x_1). Differs: the noise is as smooth
as the trajectories (their covariance over time, row by row), so that the path ends near where it
begins and few recordings and steps suffice.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save
from torch import Tensor

from timbrel.errors import UserError
from timbrel.files import write_bytes, write_text
from timbrel.generation.prior.bank import Bank, BankClip
from timbrel.generation.prior.barycentre import sound_of
from timbrel.generation.prior.draw import Draw, visited
from timbrel.generation.prior.trajectory import (
    NAMES,
    ONSET_FRAMES,
    POINTS,
    Attributes,
    Space,
    attributes_of,
)
from timbrel.generation.prior.velocity import Velocity
from timbrel.randomness import numpy_generator

STEPS = 10
"""Of Heun's method, from noise to a trajectory."""

_PERTURBED = 0.2  # of the recordings' deviation, for conditions that are not the pitch
_FILE, _RECORD = "flow.safetensors", "flow.json"
_SPACE = ("code_mean", "components", "clip_mean", "clip_components", "mean", "scale", "courses")
_SPACE_TENSORS = (*_SPACE, "white")

Stored = NDArray[np.float32]


@dataclass(frozen=True)
class Size:
    """How large the network is; about 1 M parameters."""

    width: int = 160
    blocks: int = 4
    dropout: float = 0.1


@dataclass(frozen=True, eq=False)
class Flow:
    """What is fitted: the space of trajectories, the network, and what it is conditioned on.

    `attributes` (recording attribute) are those of the training recordings: a new sound takes
    one's. They are in the order of `trajectory.NAMES`.
    """

    space: Space
    network: Velocity
    size: Size
    attributes: Stored

    def conditions(self, attributes: Stored) -> Stored:
        """Standardised attributes (batch condition); f0 counts where there is a pitch."""
        known = self.attributes.astype(np.float64)
        deviation = known.std(0)
        given = (attributes - known.mean(0)) / np.where(deviation > 1e-6, deviation, 1.0)
        pitch, voiced = NAMES.index("f0_octaves"), NAMES.index("voiced")
        given[:, pitch] *= attributes[:, voiced]
        return given.astype(np.float32)

    def solve(
        self,
        noise: Stored,
        conditions: Stored,
        known: Stored | None = None,
        mask: Stored | None = None,
        *,
        steps: int = STEPS,
    ) -> Stored:
        """Trajectories (batch row point) from `noise`, by Heun's method.

        `known` (batch row point) is kept where `mask` (batch point) is 1.
        """
        x = torch.from_numpy(noise)
        given = torch.from_numpy(conditions)
        kept = torch.zeros_like(x) if known is None else torch.from_numpy(known)
        where = x.new_zeros(len(x), POINTS) if mask is None else torch.from_numpy(mask)
        self.network.eval()
        with torch.no_grad():
            for step in range(steps):
                first = self._velocity(x, step / steps, given, kept, where)
                second = self._velocity(x + first / steps, (step + 1) / steps, given, kept, where)
                x = x + (first + second) / (2 * steps)
        made = torch.where(where[:, None] > 0, kept, x)
        return made.numpy()

    def _velocity(
        self, x: Tensor, time: float, given: Tensor, kept: Tensor, where: Tensor
    ) -> Float[Tensor, "batch row point"]:
        return self.network(x, x.new_full((len(x),), time), given, kept, where)


class FlowPrior:
    """Sounds that are drawn whole; each takes pitch, brightness and length from a recording.

    N recordings are visited once each by the seeds 0 to N - 1, and again by the next N. The pitch
    is the recording's, or where it has none, what the code's track says of it; brightness and
    length are near its. `bank` holds the recordings' codes for sounds that are made of files; None
    where the model keeps none.
    """

    kind = "flow"

    def __init__(self, flow: Flow, bank: Bank | None, *, hop_samples: int) -> None:
        self.flow = flow
        self.bank = bank
        self.hop_samples = hop_samples

    def draw(
        self,
        seed: int,
        *,
        n_samples: int | None = None,
        length: float = 1.0,
        temperature: float = 1.0,
        redraw: int = 0,
    ) -> Draw:
        """The sound of `seed`, with an end of its own."""
        known = self.flow.attributes
        own = known[visited(range(len(known)), seed)].astype(np.float64)
        rng = numpy_generator(seed, redraw, "prior flow")
        moved = _PERTURBED * temperature * known.std(0) * rng.standard_normal(len(NAMES))
        for name in ("f0_octaves", "voiced"):
            moved[NAMES.index(name)] = 0.0
        own += moved
        noise = temperature * self.flow.space.noise(rng, 1)
        made = self.flow.solve(noise.astype(np.float32), self.flow.conditions(own[None]))
        rows, clip_code = self.flow.space.rows(made[0], Attributes(*own), length)
        return self._sound(rows, clip_code, n_samples)

    @property
    def longest_frames(self) -> int:
        """Of the sounds that it learned from, from the onset on."""
        return ONSET_FRAMES + round(
            float(np.exp(self.flow.attributes[:, NAMES.index("log_frames")].max()))
        )

    def fill(self, sound: BankClip, start_frame: int, stop_frame: int, seed: int) -> Draw:
        """`sound` with other frames from `start_frame` to before `stop_frame`, drawn to fit.

        It need not be in the bank. All other frames stay as they are. Its length too, but where
        `stop_frame` lies behind its end: there it goes on, and ends in that frame.

        Raises ValueError where the first one is no frame of it, nor the one behind its last.
        """
        if not 0 <= start_frame < stop_frame or start_frame > sound.end_frame:
            raise ValueError(f"frames {start_frame} to {stop_frame} of {sound.end_frame}")
        space = self.flow.space
        level_db = attributes_of(sound, space.tracks).mean_level_db
        sound = _lengthened(sound, stop_frame)
        own = replace(attributes_of(sound, space.tracks), mean_level_db=level_db)
        known = space.trajectory(sound)
        place = space.places(sound)
        mask = ((place < start_frame) | (place > stop_frame - 1)).astype(np.float32)
        rng = numpy_generator(seed, 0, "flow fill")
        conditions = self.flow.conditions(np.array([[getattr(own, name) for name in NAMES]]))
        made = self.flow.solve(space.noise(rng, 1), conditions, known[None], mask[None])
        # What is not of the frames stays; the rows are read where each frame lies.
        steady = len(space.components) + len(space.tracks)
        made[0, steady:] = known[steady:]
        drawn = space.rows_at_frames(made[0], own, sound)
        rows = sound.rows[:, : sound.end_frame].astype(np.float64)
        rows[:, start_frame:stop_frame] = drawn[:, start_frame:stop_frame]
        return self._sound(rows, sound.clip_code, None)

    def _sound(self, rows: NDArray[Any], clip_code: NDArray[Any], n_samples: int | None) -> Draw:
        tracks = self.flow.space.tracks
        return sound_of(rows, clip_code, tracks, (), self.hop_samples, n_samples)


def _lengthened(sound: BankClip, n_frames: int) -> BankClip:
    """`sound`, ending in frame `n_frames` where it ends before: what is behind it is silence."""
    if n_frames <= sound.end_frame:
        return sound
    missing = max(0, n_frames - sound.rows.shape[1])
    rows = np.pad(sound.rows, ((0, 0), (0, missing)), mode="edge")
    return replace(sound, rows=rows, end_frame=n_frames)


def new_network(space: Space, size: Size) -> Velocity:
    """An untrained network for trajectories of `space`."""
    return Velocity(
        courses=torch.from_numpy(space.courses),
        conditions=len(NAMES),
        width=size.width,
        blocks=size.blocks,
        dropout=size.dropout,
    )


def save_flow(folder: Path, flow: Flow) -> None:
    """Write `flow` into `folder`: tensors, and their sizes as JSON."""
    tensors = {f"space.{name}": getattr(flow.space, name) for name in _SPACE_TENSORS}
    tensors |= {f"network.{k}": v.numpy() for k, v in flow.network.state_dict().items()}
    tensors["attributes"] = flow.attributes
    write_bytes(folder / _FILE, save({k: np.ascontiguousarray(v) for k, v in tensors.items()}))
    record = {"tracks": flow.space.tracks, "size": asdict(flow.size), "attributes": NAMES}
    write_text(folder / _RECORD, json.dumps(record) + "\n")


def load_flow(folder: Path) -> Flow:
    """Read what `save_flow` wrote.

    Raises UserError where a file is missing, damaged, or of other shapes.
    """
    try:
        record = json.loads((folder / _RECORD).read_text("utf-8"))
        return _flow(record, load_file(folder / _FILE))
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        said = str(error).splitlines()[0]  # a network's has a line for each tensor
        raise UserError(
            f"'{folder}' cannot be read: {said}; make it again: timbrel prior run=RUN"
        ) from error


def _flow(record: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> Flow:
    if tuple(record["attributes"]) != NAMES:
        raise ValueError(f"attributes {record['attributes']} are not {NAMES}")
    tracks = tuple(map(str, record["tracks"]))
    arrays = {name: tensors[f"space.{name}"] for name in _SPACE_TENSORS}
    space = Space(tracks, **arrays)
    attributes = tensors["attributes"]
    rows = len(space.components) + len(tracks) + len(space.clip_components) + 3
    widths = (len(space.code_mean), len(space.clip_mean))
    for name, found, needed in (
        ("components", space.components.shape[1:], widths[:1]),
        ("clip_components", space.clip_components.shape[1:], widths[1:]),
        ("mean", space.mean.shape, (rows, POINTS)),
        ("scale", space.scale.shape, (rows,)),
        ("courses", space.courses.shape[::2], (rows, POINTS)),
        ("white", space.white.shape, (rows,)),
        ("attributes", attributes.shape[1:], (len(NAMES),)),
    ):
        if found != needed:
            raise ValueError(f"{name} has the shape {found} in place of {needed}")
    if not len(attributes):
        raise ValueError("no recordings' attributes")
    size = Size(**record["size"])
    network = new_network(space, size)
    prefix = "network."
    weights = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    network.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in weights.items()})
    return Flow(space, network.requires_grad_(False), size, attributes)
