"""A sparse autoencoder of a model's codes: units that are seldom on, each with a direction.

Codes are standardised, and written as a sum of few of twice as many directions (Bricken et al.
2023, "Towards monosemanticity"). Differs: trained on all codes at once, for so many steps.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

Array = NDArray[np.float64]

EXPANSION = 2
LEAST_ALIVE = 0.9
_STEPS, _RATE, _SPARSITY = 400, 0.01, 0.3
_MOST_ROWS = 4096


@dataclass(frozen=True, eq=False)
class SparseCode:
    """`relu((code - mean) / deviation @ encoder + bias)` are the units of a code, `(row, unit)`.

    A unit that rises by 1 moves the code by its row of `directions`, whatever the other units do:
    what the sparse code itself leaves out of a sound stays in it.
    """

    mean: Array
    deviation: Array
    encoder: Array
    bias: Array
    directions: Array
    alive: float

    def units(self, codes: Array) -> Array:
        """How far every unit is on, `(row, unit)`, 0 or more."""
        return np.maximum((codes - self.mean) / self.deviation @ self.encoder + self.bias, 0.0)


def sparse_code(codes: Array, seed: int) -> SparseCode:
    """The sparse code of `codes` (row, value); the same for the same seed. A few CPU seconds.

    `alive` is the share of units that are on for some row; below 0.9 it is not to be used.
    """
    rng = torch.Generator().manual_seed(seed)
    kept = codes[np.linspace(0, len(codes) - 1, min(len(codes), _MOST_ROWS)).astype(int)]
    mean, deviation = kept.mean(0), kept.std(0) + 1e-9
    rows = torch.from_numpy((kept - mean) / deviation).float()
    n_values, n_units = rows.shape[1], EXPANSION * rows.shape[1]
    decoder = torch.nn.functional.normalize(torch.randn(n_units, n_values, generator=rng), dim=1)
    encoder = decoder.T.clone()
    bias = torch.zeros(n_units)
    learned = [weight.requires_grad_() for weight in (decoder, encoder, bias)]
    optimizer = torch.optim.Adam(learned, lr=_RATE)
    for _ in range(_STEPS):
        units = torch.relu(rows @ encoder + bias)
        # The length of a direction is a unit's weight, or all units would shrink at no cost.
        weight = decoder.norm(dim=1)
        loss = (units @ decoder - rows).square().mean() + _SPARSITY * (units * weight).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        alive = float((torch.relu(rows @ encoder + bias) > 0).any(0).float().mean())
    numbers = (weight.detach().double().numpy() for weight in (encoder, bias, decoder))
    encoder_, bias_, decoder_ = numbers
    return SparseCode(mean, deviation, encoder_, bias_, decoder_ * deviation, alive)
