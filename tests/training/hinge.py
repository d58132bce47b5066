"""A small adversary on audio, in place of a discriminator."""

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss, leaky_relu, relu

from timbrel.contracts import Batch
from timbrel.losses.adversary import Pass


class Hinge(nn.Module):
    """Two convolutions tell recordings from estimates (hinge loss); `feature_matching` beside it.

    Its dropout draws from the generator that it is handed.
    """

    def __init__(self, *, channels: int, width: int = 8, learning_rate: float = 1e-3) -> None:
        super().__init__()
        self.first = nn.Conv1d(channels, width, 15, stride=4, padding=7)
        self.second = nn.Conv1d(width, 1, 9, stride=4, padding=4, bias=False)
        self.learning_rate = learning_rate

    def judged(self, audio: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """The features of the first layer, and a verdict per frame."""
        features = leaky_relu(self.first(audio), 0.2)
        kept = torch.rand(features.shape[:2], generator=rng, device=audio.device) > 0.1
        return features, self.second(features * kept[..., None]).float()

    def terms(
        self, forward: Pass, batch: Batch, step: int, rng: torch.Generator
    ) -> dict[str, Tensor]:
        features, verdict = self.judged(forward.estimate, rng)
        wanted, _ = self.judged(batch.target, rng)
        distances = l1_loss(features.float(), wanted.float(), reduction="none")
        return {
            "generator": -verdict.mean((1, 2)),
            "feature_matching": distances.mean((1, 2)),
        }

    def own_loss(self, forward: Pass, batch: Batch, step: int, rng: torch.Generator) -> Tensor:
        _, real = self.judged(batch.target, rng)
        _, fake = self.judged(forward.estimate, rng)
        return relu(1 - real).mean() + relu(1 + fake).mean()

    def optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=self.learning_rate, betas=(0.5, 0.9))
