"""One training step: encode, sample, decode, weigh the terms, step the optimizer, average."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from timbrel.contracts import Batch, Conditions, Latent, Posterior
from timbrel.losses.latent import Adversary, nats_per_frame
from timbrel.losses.mix import LossMix, Objective
from timbrel.models.autoencoder import Autoencoder
from timbrel.models.dropout import drawing, drop_dimensions
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


def anywhere(latent: Latent, rng: torch.Generator) -> Conditions:
    """The code's conditions at drawn positions: a decoder must not learn its noise by heart."""
    shape = (len(latent.frames),)
    first_frame = torch.randint(1 << 20, shape, generator=rng, device=rng.device)
    return replace(latent.conditions, first_frame=first_frame)


@dataclass(frozen=True)
class Pass:
    """One forward pass: what the encoder said, what was drawn, and every named term."""

    posterior: Posterior
    latent: Latent
    terms: dict[str, Tensor]


def forward_pass(
    model: Autoencoder,
    reconstruction: nn.Module,
    penalty: nn.Module,
    batch: Batch,
    step: int,
    rng: torch.Generator,
    autocast: bool,
    latent_dropout: float = 0.0,
) -> Pass:
    """Encode, sample, decode (bf16 under `autocast`), and every named term (fp32).

    Dropout is the decoder's alone: the penalty sees the code whole.
    """
    with torch.autocast(batch.input.device.type, torch.bfloat16, enabled=autocast):
        posterior = model.encode(batch.input, batch.conditions)
        latent = sample(posterior, rng)
        placed = replace(latent, conditions=anywhere(latent, rng))
        with drawing(model, rng):
            estimate = model.decode(drop_dimensions(placed, latent_dropout, rng))
    estimate = estimate[..., : batch.target.shape[-1]].float()
    terms = {
        **reconstruction(estimate, batch.target),
        **penalty(posterior, latent, batch, step, rng),
    }
    return Pass(posterior, latent, terms)


class Training(pl.LightningModule):
    """Manual optimization from the start, for an adversary owns an optimizer.

    The rule: AdamW moves the model's parameters and nothing else; a penalty that has parameters is
    an `Adversary`, and its own optimizer moves them by its own loss, after the model's step. Both
    gradients are clipped at the same norm, each by itself; both states are in the checkpoint.

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
        latent_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if any(True for _ in penalty.parameters()) and not isinstance(penalty, Adversary):
            raise ValueError("a penalty with parameters must bring their optimizer (Adversary)")
        self.automatic_optimization = False
        self.model = model
        self.reconstruction = reconstruction
        self.penalty = penalty
        self.mix = mix
        self.settings = optimizer
        self.horizon = horizon
        self.seed = seed
        self.autocast = autocast
        self.latent_dropout = latent_dropout
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
        passed = forward_pass(
            self.model,
            self.reconstruction,
            self.penalty,
            batch,
            self.step,
            rng,
            self.autocast,
            self.latent_dropout,
        )
        objective = self.mix(passed.terms, self.step)
        if not torch.isfinite(objective.total):
            raise DivergedError("the loss", self.step, batch)

        optimizers = self.optimizers()
        main, *others = optimizers if isinstance(optimizers, list) else [optimizers]
        self.learning_rate = self.settings.learning_rate * self.horizon.rate(
            self.step, self.settings.warmup_steps
        )
        for group in main.param_groups:
            group["lr"] = self.learning_rate
        norm = self._descend(main, objective.total, self.model, "the gradient", batch)
        self.average.update_parameters(self.model)
        objective = objective.detached()
        if others:
            loss = self._adversary_step(others[0], passed.latent.map(Tensor.detach), batch)
            objective = replace(objective, terms={**objective.terms, "adversary": loss})
        if self.mix.controllers:
            self.mix.observe(float(nats_per_frame(passed.posterior).detach()))
        self.objective, self.gradient_norm = objective, norm
        self.step += 1

    def _adversary_step(self, optimizer: Any, latent: Latent, batch: Batch) -> Tensor:
        """One step of the penalty's own optimizer; its loss."""
        rng = torch_generator(self.seed, self.step, "adversary", self.device)
        loss = self.penalty.own_loss(latent, rng)
        self._descend(optimizer, loss, self.penalty, "the adversary's gradient", batch)
        return loss.detach()

    def _descend(
        self, optimizer: Any, loss: Tensor, module: nn.Module, what: str, batch: Batch
    ) -> float:
        """Step along the clipped gradient of `module`'s parameters; its norm before clipping."""
        optimizer.zero_grad()
        self.manual_backward(loss)
        norm = nn.utils.clip_grad_norm_(module.parameters(), self.settings.gradient_clip_norm)
        if not torch.isfinite(norm):
            raise DivergedError(what, self.step, batch)
        optimizer.step()
        return float(norm)

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """AdamW over the model; after it the adversary's own, where the penalty is one."""
        own = [self.penalty.optimizer()] if isinstance(self.penalty, Adversary) else []
        return [self._main_optimizer(), *own]

    def _main_optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(
            self.model.parameters(),
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
        """The step, the horizon and the state of controlled weights travel with the weights."""
        checkpoint["timbrel"] = {
            "step": self.step,
            "horizon": self.horizon.state(),
            "mix": self.mix.state(),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take up the step, the horizon and the state of controlled weights."""
        self.step = checkpoint["timbrel"]["step"]
        self.horizon.restore(checkpoint["timbrel"]["horizon"])
        self.mix.restore(checkpoint["timbrel"].get("mix", {}))  # an older one has none


def _moving_average(decay: float) -> Callable[[Sequence[Tensor], Sequence[Tensor], Any], None]:
    """EMA whose decay grows with the number of updates, so that early weights are forgotten."""

    def update(averaged: Sequence[Tensor], current: Sequence[Tensor], n_averaged: Any) -> None:
        n = int(n_averaged)
        torch._foreach_lerp_(averaged, current, 1.0 - min(decay, (1 + n) / (10 + n)))

    return update
