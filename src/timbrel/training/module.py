"""One training step: encode, sample, decode, weigh the terms, step the optimizer, average."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from timbrel.contracts import Batch, Conditions
from timbrel.losses.mix import LossMix, Objective
from timbrel.models.autoencoder import Autoencoder
from timbrel.models.posteriors import sample
from timbrel.randomness import torch_generator
from timbrel.training.horizon import Horizon


@dataclass(frozen=True, kw_only=True)
class OptimizerSettings:
    """AdamW (Loshchilov & Hutter 2019) with a clipped gradient and averaged weights."""

    learning_rate: float
    betas: tuple[float, float]
    weight_decay: float
    warmup_steps: int
    gradient_clip_norm: float
    ema_decay: float


class DivergedError(Exception):
    """A loss or gradient that is not finite. Holds the batch for the report."""

    def __init__(self, what: str, step: int, batch: Batch) -> None:
        super().__init__(f"{what} is not finite at step {step}")
        self.what, self.step, self.batch = what, step, batch


def anywhere(batch: Batch, rng: torch.Generator) -> Conditions:
    """The batch's conditions at drawn positions: a decoder must not learn its noise by heart."""
    shape = (len(batch.target),)
    first_frame = torch.randint(1 << 20, shape, generator=rng, device=rng.device)
    return replace(batch.conditions, first_frame=first_frame)


def loss_terms(
    model: Autoencoder,
    reconstruction: nn.Module,
    penalty: nn.Module,
    batch: Batch,
    step: int,
    rng: torch.Generator,
    autocast: bool,
) -> dict[str, Tensor]:
    """Encode, sample, decode (bf16 under `autocast`), and every named term (fp32)."""
    with torch.autocast(batch.input.device.type, torch.bfloat16, enabled=autocast):
        posterior = model.encode(batch.input, batch.conditions)
        latent = sample(posterior, rng)
        estimate = model.decode(latent, anywhere(batch, rng))
    estimate = estimate[..., : batch.target.shape[-1]].float()
    return {
        **reconstruction(estimate, batch.target),
        **penalty(posterior, latent, batch, step, rng),
    }


class Training(pl.LightningModule):
    """Manual optimization from the start: a penalty or an adversary may own an optimizer.

    `average` holds the exponential moving average of the model's weights (Polyak & Juditsky 1992),
    which is what is validated, scored and kept. `objective` and `gradient_norm` are the last
    step's, for the watchers.
    """

    def __init__(
        self,
        *,
        model: Autoencoder,
        reconstruction: nn.Module,
        penalty: nn.Module,
        mix: LossMix,
        optimizer: OptimizerSettings,
        horizon: Horizon,
        seed: int,
        autocast: bool,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.model = model
        self.reconstruction = reconstruction
        self.penalty = penalty
        self.mix = mix
        self.settings = optimizer
        self.horizon = horizon
        self.seed = seed
        self.autocast = autocast
        self.step = 0
        self.objective: Objective | None = None
        self.gradient_norm = 0.0
        self.learning_rate = 0.0
        self.average = AveragedModel(model, multi_avg_fn=_moving_average(optimizer.ema_decay))
        self.average.requires_grad_(False)

    @property
    def averaged(self) -> Autoencoder:
        """The model with averaged weights, in evaluation mode."""
        return self.average.module.eval()

    def training_step(self, batch: Batch, batch_index: int) -> None:
        """One optimizer step; `DivergedError` before a non-finite gradient touches a weight."""
        rng = torch_generator(self.seed, self.step, "posterior", self.device)
        terms = loss_terms(
            self.model, self.reconstruction, self.penalty, batch, self.step, rng, self.autocast
        )
        objective = self.mix(terms, self.step)
        if not torch.isfinite(objective.total):
            raise DivergedError("the loss", self.step, batch)

        optimizer = self.optimizers()
        optimizer.zero_grad()
        self.manual_backward(objective.total)
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.gradient_clip_norm)
        if not torch.isfinite(norm):
            raise DivergedError("the gradient", self.step, batch)
        self.learning_rate = self.settings.learning_rate * self.horizon.rate(
            self.step, self.settings.warmup_steps
        )
        for group in optimizer.param_groups:
            group["lr"] = self.learning_rate
        optimizer.step()
        self.average.update_parameters(self.model)
        self.objective, self.gradient_norm = objective.detached(), float(norm)
        self.step += 1

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW over everything that learns."""
        trainable = [*self.model.parameters(), *self.penalty.parameters()]
        return torch.optim.AdamW(
            trainable,
            lr=self.settings.learning_rate,
            betas=self.settings.betas,
            weight_decay=self.settings.weight_decay,
            fused=self.device.type in ("cpu", "cuda"),
        )

    def transfer_batch_to_device(
        self, batch: Batch, device: torch.device, dataloader_idx: int
    ) -> Batch:
        """Lightning does not move frozen dataclasses by itself."""
        return batch.to(device, non_blocking=True)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The step and the horizon travel with the weights."""
        checkpoint["timbrel"] = {"step": self.step, "horizon": self.horizon.state()}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take up the step and the horizon."""
        self.step = checkpoint["timbrel"]["step"]
        self.horizon.restore(checkpoint["timbrel"]["horizon"])


def _moving_average(decay: float) -> Callable[[Sequence[Tensor], Sequence[Tensor], Any], None]:
    """EMA whose decay grows with the number of updates, so that early weights are forgotten."""

    def update(averaged: Sequence[Tensor], current: Sequence[Tensor], n_averaged: Any) -> None:
        n = int(n_averaged)
        torch._foreach_lerp_(averaged, current, 1.0 - min(decay, (1 + n) / (10 + n)))

    return update
