"""Independent rows out of codes whose frames depend on each other: one frame per clip and step."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from timbrel.contracts import Latent


def draw_frames(
    latent: Latent, rng: torch.Generator, allowed: Bool[Tensor, "batch frame"] | None = None
) -> Int[Tensor, " batch"]:
    """One frame per clip, each of the `allowed` as likely; any frame of a clip that allows none."""
    n_batch, _, n_frames = latent.frames.shape
    chances = torch.ones(n_batch, n_frames, device=latent.frames.device)
    if allowed is not None:
        chances = torch.where(allowed.any(1, keepdim=True), allowed.float(), chances)
    return torch.multinomial(chances, 1, generator=rng).squeeze(1)


def at_frames(
    frames: Float[Tensor, "batch width frame"], index: Int[Tensor, " batch"]
) -> Float[Tensor, "batch width"]:
    """One frame of every clip, by its index."""
    return frames[torch.arange(len(frames), device=frames.device), :, index]


def one_row_per_clip(latent: Latent, rng: torch.Generator) -> Float[Tensor, "batch width"]:
    """The code of a drawn frame beside the clip's code: rows that are independent of each other."""
    return torch.cat([at_frames(latent.frames, draw_frames(latent, rng)), latent.clip], dim=1)


class PastRows(nn.Module):
    """The last `rows` rows of earlier steps, without their graph: small batches see further.

    They were coded by earlier weights, so the queue should span few steps. It is part of the
    checkpoint. The queue idea: He et al. 2020, "MoCo", section 3.2.
    """

    kept: Float[Tensor, "row width"]
    filled: Int[Tensor, ""]

    def __init__(self, *, rows: int, width: int) -> None:
        super().__init__()
        if rows < 0:
            raise ValueError(f"penalty.queue_rows={rows}: 0 or more")
        self.register_buffer("kept", torch.zeros(rows, width))
        self.register_buffer("filled", torch.tensor(0))

    def rows(self) -> Float[Tensor, "row width"]:
        """The rows in the queue, latest first."""
        return self.kept[: int(self.filled)]

    @torch.no_grad()
    def add(self, rows: Float[Tensor, "row width"]) -> None:
        """Put rows first and drop the oldest that no longer fit."""
        if len(self.kept) == 0:
            return
        kept = torch.cat([rows.detach(), self.rows()])[: len(self.kept)]
        self.kept[: len(kept)] = kept
        self.filled.fill_(len(kept))
