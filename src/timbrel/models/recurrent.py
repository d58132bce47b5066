"""A recurrent network at frame rate, whose state goes on from block to block."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from timbrel.models.blocks import FrameBlock
from timbrel.models.dropout import SeededDropout


class RecurrentStack(nn.Module):
    """Residual blocks that see one frame each, with a GRU between them.

    Engel et al. 2020, "DDSP: Differentiable Digital Signal Processing": a GRU between two
    perceptrons with layer norms. Differs: one perceptron sees all inputs, and all parts are
    residual.

    A frame depends on no later one, and on earlier ones through the GRU's state alone: hence 0
    `context_frames`, and who decodes in blocks hands the states on.
    """

    context_frames = 0

    def __init__(self, *, width: int, blocks: int, expansion: int, dropout: float = 0.0) -> None:
        super().__init__()
        made = [
            FrameBlock(
                width=width,
                kernel_frames=1,
                expansion=expansion,
                scale=1 / blocks,
                dropout=dropout,
            )
            for _ in range(blocks)
        ]
        ahead = (blocks + 1) // 2
        self.input_norm = nn.LayerNorm(width)
        self.ahead = nn.Sequential(*made[:ahead])
        self.norm = nn.LayerNorm(width)
        self.gru = nn.GRU(width, width, batch_first=True)
        self.dropout = SeededDropout(dropout, channel_dim=2)
        self.behind = nn.Sequential(*made[ahead:])
        self.output_norm = nn.LayerNorm(width)

    def forward(
        self,
        x: Float[Tensor, "batch frame width"],
        known: Float[Tensor, "batch known width"] | None = None,
    ) -> tuple[Float[Tensor, "batch frame width"], Float[Tensor, "batch frame width"]]:
        """Features, and the GRU's state after every frame; `known` are those of the first frames.

        A sound begins with a state of zeros.
        """
        x = self.ahead(self.input_norm(x))
        states = self._states(self.norm(x), known)
        return self.output_norm(self.behind(x + self.dropout(states))), states

    def _states(self, x: Tensor, known: Tensor | None) -> Tensor:
        """Those that are known as they are, and the GRU goes on from the last of them."""
        if known is None:
            known = x.new_zeros(len(x), 0, self.gru.hidden_size, dtype=self.norm.weight.dtype)
        rest = x[:, known.shape[1] :].to(known.dtype)
        if rest.shape[1] == 0:
            return known[:, : x.shape[1]]
        last = known[:, -1:].transpose(0, 1).contiguous() if known.shape[1] else None
        # cuDNN has no gradient in evaluation mode, in which a part of the model may rest.
        fused = self.training or not torch.is_grad_enabled()
        with (
            torch.autocast(x.device.type, enabled=False),  # errors of a state add up
            torch.backends.cudnn.flags(enabled=fused and torch.backends.cudnn.enabled),
        ):
            states, _ = self.gru(rest, last)
        return torch.cat([known, states], dim=1)
