"""The network of the flow prior: from a trajectory on its way to the velocity that it moves with.

An MLP-Mixer (Tolstikhin et al. 2021) over 16 patches of 8 points: trajectories are aligned, so that
a point means the same in all of them, and matrix products are what a CPU does best. Every block is
scaled and shifted by the time on the path and the conditions (FiLM, Perez et al. 2018).

Noise and trajectories have the same covariance, so that of two Gaussians the velocity would be
(2 t - 1) / (t^2 + (1 - t)^2) x_t. The blocks add to that what is not Gaussian, scaled to unit
variance at every time (preconditioning as in Karras et al. 2022, for straight paths).
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import gelu, layer_norm

PATCH_POINTS = 8
_FREQUENCIES = 16


class Velocity(nn.Module):
    """For trajectories whose rows have the covariance roots `courses`.

    `conditions` is how many numbers it is conditioned on. What the blocks find is kept to the
    directions in which a row's trajectories differ, so that no draw is rougher than they are.
    """

    courses: Tensor

    def __init__(
        self,
        *,
        courses: Float[Tensor, "row course point"],
        conditions: int,
        width: int,
        blocks: int,
        dropout: float,
    ) -> None:
        super().__init__()
        rows, _, points = courses.shape
        variance = courses.square().sum(2, keepdim=True)
        directions = courses / variance.clamp_min(1e-12).sqrt()
        kept = torch.where(variance > 1e-6 * points, variance / (variance + 1), 0.0)
        self.register_buffer("courses", directions * kept**0.25, persistent=False)
        self.patches = points // PATCH_POINTS
        # A trajectory, what of it is known, and where that is.
        self.into = nn.Linear((2 * rows + 1) * PATCH_POINTS, width)
        self.place = nn.Parameter(torch.zeros(self.patches, width))
        self.given = nn.Sequential(
            nn.Linear(2 * _FREQUENCIES + conditions, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.blocks = nn.ModuleList(_Block(self.patches, width, dropout) for _ in range(blocks))
        self.out = nn.Linear(width, rows * PATCH_POINTS)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(
        self,
        moving: Float[Tensor, "batch row point"],
        time: Float[Tensor, " batch"],
        conditions: Float[Tensor, "batch condition"],
        known: Float[Tensor, "batch row point"],
        mask: Float[Tensor, "batch point"],
    ) -> Float[Tensor, "batch row point"]:
        """The velocity at `time`, 0 in noise to 1; `known` counts where `mask` is 1."""
        place = time[:, None, None]
        power = place.square() + (1 - place).square()
        seen = torch.cat([moving / power.sqrt(), known * mask[:, None], mask[:, None]], dim=1)
        hidden = self.into(self._patched(seen)) + self.place
        phase = time[:, None] * math.pi * 2 ** torch.linspace(-2.0, 5.0, _FREQUENCIES)
        given = self.given(torch.cat([phase.sin(), phase.cos(), conditions], dim=1))
        for block in self.blocks:
            hidden = block(hidden, given)
        made = self.out(layer_norm(hidden, hidden.shape[-1:]))
        # (batch, patch, row * point in patch) -> (batch, row, point)
        made = made.unflatten(2, (-1, PATCH_POINTS)).transpose(1, 2).flatten(2)
        made = torch.einsum("brp,rcp,rcq->brq", made, self.courses, self.courses)
        return (2 * place - 1) / power * moving + made / power.sqrt()

    def _patched(
        self, rows: Float[Tensor, "batch row point"]
    ) -> Float[Tensor, "batch patch column"]:
        return rows.unflatten(2, (self.patches, PATCH_POINTS)).transpose(1, 2).flatten(2)


class _Block(nn.Module):
    def __init__(self, patches: int, width: int, dropout: float) -> None:
        super().__init__()
        self.film = nn.Linear(width, 4 * width)
        self.over_time = nn.Sequential(
            nn.Linear(patches, 2 * patches), nn.GELU(), nn.Linear(2 * patches, patches)
        )
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.dropout = nn.Dropout(dropout)
        nn.init.zeros_(self.film.weight)
        nn.init.zeros_(self.film.bias)

    def forward(
        self, hidden: Float[Tensor, "batch patch width"], given: Float[Tensor, "batch width"]
    ) -> Float[Tensor, "batch patch width"]:
        scale, shift, scale_up, shift_up = self.film(given)[:, None].chunk(4, dim=2)
        seen = layer_norm(hidden, hidden.shape[-1:]) * (1 + scale) + shift
        hidden = hidden + self.over_time(seen.transpose(1, 2)).transpose(1, 2)
        seen = layer_norm(hidden, hidden.shape[-1:]) * (1 + scale_up) + shift_up
        return hidden + self.down(self.dropout(gelu(self.up(seen))))
