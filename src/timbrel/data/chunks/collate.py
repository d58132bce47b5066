"""Examples to a batch."""

import pickle
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, final

import numpy as np
import torch

from timbrel.contracts import Batch, Columns
from timbrel.data.chunks.chunk import Example, Measures
from timbrel.data.chunks.conditions import conditions_from


def collate(examples: Sequence[Example]) -> Batch:
    """One batch; where the encoder sees every target, `input` and `target` are the same tensor."""
    target = torch.from_numpy(np.stack([example.audio for example in examples]))
    seen = target
    if any(example.seen is not None for example in examples):
        views = [e.audio if e.seen is None else e.seen for e in examples]
        seen = torch.from_numpy(np.stack(views))
    speeds = [example.code_speed for example in examples if example.code_speed is not None]
    batch = Batch(
        input=seen,
        target=target,
        clip_id=torch.tensor([example.clip_id for example in examples]),
        start_sample=torch.tensor([example.start_sample for example in examples]),
        code_speed=torch.tensor(speeds) if len(speeds) == len(examples) else None,
    )
    measures = [example.measures for example in examples if example.measures is not None]
    return _measured(batch, measures) if len(measures) == len(examples) else batch


@final
class Parcel:
    """A batch on its way out of a worker process: it is a plain batch on arrival.

    Bytes through the queue's pipe. As tensors they would go through shared memory, of which a
    container may have little (a worker then hangs or dies), and through a socket in the folder of
    temporary files, whose path may be too long for one.
    """

    def __init__(self, batch: Batch) -> None:
        self.batch = batch

    def __reduce__(self) -> tuple[Any, ...]:
        return pickle.loads, (pickle.dumps(self.batch),)


def collate_in_worker(examples: Sequence[Example]) -> Parcel:
    """`collate`, where it is called in a worker process."""
    return Parcel(collate(examples))


def _measured(batch: Batch, measures: Sequence[Measures]) -> Batch:
    first = measures[0]
    frames = Columns(
        first.frame_names,
        torch.from_numpy(np.stack([m.frame_values for m in measures])),
        torch.from_numpy(np.stack([m.frame_mask for m in measures])),
    )
    return replace(
        batch,
        conditions=conditions_from(first.tracks, frames),
        attributes=Columns(
            first.names,
            torch.from_numpy(np.stack([m.values for m in measures])),
            torch.from_numpy(np.stack([m.mask for m in measures])),
        ),
        frame_attributes=frames,
    )
