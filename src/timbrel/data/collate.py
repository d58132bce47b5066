"""Examples to a batch."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from timbrel.contracts import Batch
from timbrel.data.chunk import Example


def collate(examples: Sequence[Example]) -> Batch:
    """The examples as one batch; unless one is masked, `input` and `target` are the same tensor."""
    target = torch.from_numpy(np.stack([example.audio for example in examples]))
    seen = target
    if any(example.masked is not None for example in examples):
        views = [e.audio if e.masked is None else e.masked for e in examples]
        seen = torch.from_numpy(np.stack(views))
    return Batch(
        input=seen,
        target=target,
        clip_id=torch.tensor([example.clip_id for example in examples]),
        start_sample=torch.tensor([example.start_sample for example in examples]),
        **_measured(examples),
    )


def _measured(examples: Sequence[Example]) -> dict[str, Tensor]:
    measures = [example.measures for example in examples if example.measures is not None]
    if len(measures) < len(examples):
        size = len(examples)
        empty = torch.zeros(size, 0, dtype=torch.bool)
        return {"attributes": torch.zeros(size, 0), "attribute_mask": empty}
    columns: dict[str, list[NDArray[Any]]] = {
        "attributes": [m.values for m in measures],
        "attribute_mask": [m.mask for m in measures],
        "frame_attributes": [m.frame_values for m in measures],
        "frame_attribute_mask": [m.frame_mask for m in measures],
    }
    return {name: torch.from_numpy(np.stack(column)) for name, column in columns.items()}
