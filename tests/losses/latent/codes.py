"""Batches, codes and posteriors made by hand."""

from typing import Any

import torch
from torch import Tensor, nn

from timbrel.contracts import Batch, Latent, Posterior
from timbrel.losses.terms import value_of


def batch(n: int, time: int = 100, **fields: Tensor) -> Batch:
    audio, index = torch.zeros(n, 1, time), torch.zeros(n, dtype=torch.long)
    return Batch(audio, audio, index, index, **fields)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def frames_only(rows: Tensor) -> Latent:
    """One frame per clip: `(clip, width)` to a code."""
    return Latent(rows[:, :, None], rows.new_zeros(len(rows), 0))


def terms(penalty: nn.Module, posterior: Posterior, latent: Latent, **settings: Any) -> Any:
    """What the penalty says of a batch of so many clips, diagnostics among its terms.

    `time` and fields of the batch at will.
    """
    step = settings.pop("step", 0)
    given = batch(len(latent.frames), **settings)
    found = penalty(posterior, latent, given, step, rng())
    return {name: value_of(term) for name, term in found.items()}
