"""One training step: encode, sample, decode, weigh the terms, step the optimizers, average."""

import copy
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from timbrel.contracts import Batch, Conditions, Latent, Posterior
from timbrel.losses.adversary import Pass
from timbrel.losses.latent import nats_per_frame
from timbrel.losses.mix import LossMix, Objective
from timbrel.losses.terms import Diagnostic, Terms
from timbrel.models.autoencoder import Autoencoder
from timbrel.models.dropout import drawing, drop_dimensions
from timbrel.models.posteriors import sample
from timbrel.models.warping import warped
from timbrel.randomness import WHOLE, Share, torch_generator
from timbrel.training.adversaries import (
    adversary_terms,
    all_adversaries,
    check_learners,
    own_loss,
    own_optimizer,
)
from timbrel.training.horizon import Horizon
from timbrel.training.optimizers import MakeOptimizer
from timbrel.training.phases import Phase, Phases, TrainedParts
from timbrel.training.processes import gathered, mean_gradients, mean_objective


@dataclass(frozen=True, kw_only=True)
class OptimizerSettings:
    """What moves the model, the peak of its learning rate, and how weights are averaged."""

    make: MakeOptimizer
    learning_rate: float
    warmup_steps: int
    gradient_clip_norm: float
    ema_decay: float


class DivergedError(Exception):
    """A loss or gradient that is not finite. Holds the batch for the report."""

    def __init__(self, what: str, step: int, batch: Batch) -> None:
        super().__init__(f"{what} is not finite at step {step}")
        self.what, self.step, self.batch = what, step, batch


def anywhere(latent: Latent, rng: torch.Generator, share: Share = WHOLE) -> Conditions:
    """The code's conditions at random positions, so that a decoder cannot overfit to its noise."""
    first_frame = share.draw(partial(torch.randint, 1 << 20), (len(latent.frames),), rng)
    return replace(latent.conditions, first_frame=first_frame)


def encoded(model: Autoencoder, batch: Batch) -> Posterior:
    """The posterior of `batch.input` in the time of `batch.target`, with the target's tracks."""
    posterior = model.encode(batch.input, batch.conditions)
    if batch.code_speed is None:
        return posterior
    n_frames = math.ceil(batch.target.shape[-1] / model.hop_samples)
    return warped(posterior, batch.code_speed, n_frames)


def forward_pass(
    model: Autoencoder,
    batch: Batch,
    rng: torch.Generator,
    autocast: bool,
    latent_dropout: float = 0.0,
    share: Share = WHOLE,
) -> Pass:
    """Encode, sample, decode (bf16 under `autocast`); the estimate is fp32.

    Dropout is the decoder's alone: the penalty sees the code whole.
    """
    with torch.autocast(batch.input.device.type, torch.bfloat16, enabled=autocast):
        posterior = encoded(model, batch)
        latent = sample(posterior, rng, share)
        placed = replace(latent, conditions=anywhere(latent, rng, share))
        with drawing(model, rng, share):
            estimate = model.decode(drop_dimensions(placed, latent_dropout, rng, share))
    estimate = estimate[..., : batch.target.shape[-1]].float()
    return Pass(posterior, latent, estimate)


def loss_terms(
    model: Autoencoder,
    reconstruction: nn.Module,
    penalty: nn.Module,
    forward: Pass,
    batch: Batch,
    step: int,
    rng: torch.Generator,
    *,
    whole: tuple[Pass, Batch] | None = None,
) -> Terms:
    """Every named term of the two losses that a training always has (fp32).

    The reconstruction is that of these examples, the penalty that of the `whole` batch, which may
    be shared among processes (None: it is these examples). The model's own terms are diagnostics:
    only a loss that knows the model has weights for them.
    """
    judged, everyone = whole or (forward, batch)
    return {
        **{name: Diagnostic(value) for name, value in model.own_terms().items()},
        **reconstruction(forward.estimate, batch.target),
        **penalty(judged.posterior, judged.latent, everyone, step, rng),
    }


class Training(pl.LightningModule):
    """Manual optimization from the start, for every adversary owns an optimizer.

    The rule: one optimizer moves the model's parameters and nothing else; what else has parameters
    is an adversary (the penalty, or one of `adversaries`), and its own optimizer moves them by its
    own loss, after the model's step. All gradients are clipped at the same norm, each by itself;
    all states are in the checkpoint.

    A phase says which parts of the model learn, with which weights, and which `adversaries` play;
    a penalty always does. `phase` is the number of the last step's, from 0.

    `average` holds the exponential moving average of the model's weights (Polyak & Juditsky 1992),
    which is what is validated, scored and kept. `objective` and `gradient_norm` are the last
    step's, for the watchers.

    Where several processes train one model, `share` says which part of every batch is this one's.
    Each has its part encoded and decoded and takes the penalty of the whole batch; gradients are
    averaged over them, so that all take the same step.

    Raises UserError where a parameter has no owner, or two.
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
        adversaries: Mapping[str, nn.Module] = MappingProxyType({}),
        phases: Sequence[Phase] = (),
        share: Share = WHOLE,
    ) -> None:
        super().__init__()
        check_learners(model, reconstruction, penalty, adversaries)
        self.automatic_optimization = False
        self.model = model
        self.reconstruction = reconstruction
        self.penalty = penalty
        self.adversaries = nn.ModuleDict(adversaries)
        self.mix = mix
        self.settings = optimizer
        self.horizon = horizon
        self.seed = seed
        self.autocast = autocast
        self.latent_dropout = latent_dropout
        self.share = share
        self.step = 0
        self._checked = False
        self.objective: Objective | None = None
        self.gradient_norm = 0.0
        self.learning_rate = 0.0
        self.average = AveragedModel(model, multi_avg_fn=_moving_average(optimizer.ema_decay))
        self.average.requires_grad_(False)
        self.phases = Phases(phases)
        self.phase: int | None = None
        self.parts = TrainedParts(model, self.average.module)
        self.parts.check(phases)

    @property
    def phase_number(self) -> int:
        """The number of the last step's phase, from 1."""
        return (self.phase or 0) + 1

    @property
    def in_last_phase(self) -> bool:
        """Whether no phase follows the last step's."""
        return self.phases.is_last(self.phase or 0)

    @property
    def averaged(self) -> Autoencoder:
        """The model with averaged weights, in evaluation mode."""
        return self.average.module.eval()

    def training_step(self, batch: Batch, batch_index: int) -> None:
        """One optimizer step; `DivergedError` before a non-finite gradient touches a weight."""
        phase = self._phase_of_this_step()
        rng = self._generator("posterior")
        dropout, share = self.latent_dropout, self.share
        forward = forward_pass(self.model, batch, rng, self.autocast, dropout, share)
        whole, everyone = gathered(share, forward, batch)
        losses = self.model, self.reconstruction, self.penalty
        terms = loss_terms(*losses, forward, batch, self.step, rng, whole=(whole, everyone))
        terms |= self._terms_of(self._playing(phase), forward, batch)
        if not self._checked:
            self._check_weights(terms, self._resting(phase), forward, batch)
        objective = self.mix(
            terms, self.step, replaced=phase.weights, resting=self._weights_of(self._resting(phase))
        )
        told = mean_objective(share, objective.detached())
        if not torch.isfinite(told.total):
            raise DivergedError("the loss", self.step, everyone)

        optimizers = self.optimizers()
        main, *others = optimizers if isinstance(optimizers, list) else [optimizers]
        self.learning_rate = self.settings.learning_rate * self.horizon.rate(
            self.step, self.settings.warmup_steps
        )
        for group in main.param_groups:
            group["lr"] = self.learning_rate
        norm = self._descend(main, objective.total, self.model, "the gradient", everyone)
        self.average.update_parameters(self.model)
        own_losses = self._adversaries_step(others, phase, whole.detached(), everyone)
        self.objective = replace(told, terms={**told.terms, **own_losses})
        self.gradient_norm = norm
        if self.mix.controllers:
            rate = nats_per_frame(whole.posterior).detach()
            self.mix.observe(float(rate), replaced=phase.weights)
        self.step += 1

    def _generator(self, name: str) -> torch.Generator:
        return torch_generator(self.seed, self.step, name, self.device)

    def _phase_of_this_step(self) -> Phase:
        """The phase; where it begins, or a resume goes on in it, its parts are chosen."""
        number = self.phases.at(self.step, self.horizon)
        if number != self.phase:
            self.phase = number
            self.parts.choose(self.phases[number].train)
        return self.phases[number]

    def _playing(self, phase: Phase) -> dict[str, nn.Module]:
        return {name: part for name, part in self.adversaries.items() if phase.plays(name)}

    def _resting(self, phase: Phase) -> dict[str, nn.Module]:
        return {name: part for name, part in self.adversaries.items() if not phase.plays(name)}

    def _weights_of(self, adversaries: Collection[str]) -> list[str]:
        return [name for name in self.mix.weights if name.partition("/")[0] in adversaries]

    def _terms_of(self, adversaries: Mapping[str, nn.Module], forward: Pass, batch: Batch) -> Terms:
        return adversary_terms(
            adversaries, forward, batch, self.step, self._generator, self.autocast
        )

    def _check_weights(
        self,
        terms: Terms,
        resting: Mapping[str, nn.Module],
        forward: Pass,
        batch: Batch,
    ) -> None:
        """Every term has its weight, also those of adversaries that play in a later phase.

        Asked once per process, of copies, which leaves the adversaries as they are: a mistake is
        told in the first step, not hours later at a border.
        """
        with torch.no_grad():
            later = self._terms_of(copy.deepcopy(dict(resting)), forward.detached(), batch)
        self.mix.check({**terms, **later})
        self._checked = True

    def _adversaries_step(
        self, optimizers: Sequence[Any], phase: Phase, detached: Pass, batch: Batch
    ) -> dict[str, Tensor]:
        """One step of every adversary that plays, by its own optimizer; their losses, by name."""
        losses: dict[str, Tensor] = {}
        playing = all_adversaries(self.penalty, self._playing(phase))
        every = all_adversaries(self.penalty, self.adversaries)
        for (key, adversary), optimizer in zip(every.items(), optimizers, strict=True):
            if key not in playing:
                continue
            loss = own_loss(
                key, adversary, detached, batch, self.step, self._generator, self.autocast
            )
            self._descend(optimizer, loss, adversary, f"the gradient of {key}", batch)
            losses[key] = loss.detach()
        return losses

    def _descend(
        self, optimizer: Any, loss: Tensor, module: nn.Module, what: str, batch: Batch
    ) -> float:
        """Step along the clipped gradient of `module`'s parameters; its norm before clipping."""
        optimizer.zero_grad()
        self.manual_backward(loss)
        mean_gradients(self.share, module.parameters())
        norm = nn.utils.clip_grad_norm_(module.parameters(), self.settings.gradient_clip_norm)
        if not torch.isfinite(norm):
            raise DivergedError(what, self.step, batch)
        optimizer.step()
        return float(norm)

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """The model's; after it every adversary's own."""
        every = all_adversaries(self.penalty, self.adversaries)
        main = self.settings.make(self.model.parameters())
        return [main, *(own_optimizer(key, part) for key, part in every.items())]

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
        """Restore the step, the horizon and the state of controlled weights."""
        self.step = checkpoint["timbrel"]["step"]
        self.horizon.restore(checkpoint["timbrel"]["horizon"])
        self.mix.restore(checkpoint["timbrel"].get("mix", {}))  # an older one has none


def _moving_average(decay: float) -> Callable[[Sequence[Tensor], Sequence[Tensor], Any], None]:
    """EMA whose decay grows with the number of updates, so that early weights are forgotten."""

    def update(averaged: Sequence[Tensor], current: Sequence[Tensor], n_averaged: Any) -> None:
        n = int(n_averaged)
        torch._foreach_lerp_(averaged, current, 1.0 - min(decay, (1 + n) / (10 + n)))

    return update
