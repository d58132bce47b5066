"""Scores of fixed chunks: averaged weights, posterior mean, no augmentation."""

import math
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from timbrel.contracts import Batch, Latent
from timbrel.losses.latent import rate_nats
from timbrel.losses.mix import LossMix
from timbrel.losses.terms import value_of
from timbrel.metrics.latent import DecodeChange, active_units, variances
from timbrel.models.autoencoder import Autoencoder


@torch.no_grad()
def validate(
    model: Autoencoder,
    batches: Iterable[Batch],
    reconstruction: nn.Module,
    mix: LossMix,
    step: int,
    autocast: AbstractContextManager[None],
    *,
    watch_code: bool = True,
) -> dict[str, float]:
    """Means over all chunks; empty where there is none.

    `loss` is the weighted reconstruction alone, by which checkpoints are chosen (with the KL it
    could not be compared between schedules); each term; `nats_per_frame` and `nats_per_second`
    where the posterior has a variance; with `watch_code`, `active_units` and `decode_change` of
    `metrics.latent`, where there is enough to tell.
    """
    device = next(model.parameters()).device
    sums: dict[str, Tensor] = {}
    examples = 0
    code = _CodeWatch(model)
    for cpu_batch in batches:
        batch = cpu_batch.to(device)
        with autocast:
            posterior = model.encode(batch.input, batch.conditions)
            estimate = model.decode(posterior.mean)
        n_time = batch.target.shape[-1]
        estimate = estimate[..., :n_time].float()
        found = reconstruction(estimate, batch.target)
        terms = {name: value_of(term) for name, term in found.items()}
        if posterior.log_var is not None:
            nats = rate_nats(posterior)
            terms["nats_per_frame"] = nats * model.hop_samples / n_time
            terms["nats_per_second"] = nats * model.sample_rate_hz / n_time
        for name, term in terms.items():
            sums[name] = sums.get(name, torch.zeros((), device=device)) + term.sum()
        examples += len(batch.target)
        if watch_code:
            with autocast:
                code.add(batch, posterior.mean, estimate)
    if examples == 0:
        return {}
    means = {name: float(total) / examples for name, total in sums.items()}
    weights = mix.weights_at(step)
    loss = sum(weights[name] * mean for name, mean in means.items() if name in weights)
    return {"loss": loss, **means, **(code.values() if watch_code else {})}


def gap(held_out_loss: float, train_clean_loss: float) -> float:
    """How much larger the loss on held-out recordings is, relative to that on training ones.

    >>> gap(1.5, 1.0), gap(1.0, 1.0)
    (0.5, 0.0)
    """
    return held_out_loss / train_clean_loss - 1.0


class _CodeWatch:
    """Gathers codes, and compares what every chunk and the one before it decode to."""

    def __init__(self, model: Autoencoder) -> None:
        self.model = model
        self.change = DecodeChange(model.sample_rate_hz)
        self.codes: list[Latent] = []
        self._before: tuple[Latent, Tensor, Tensor] | None = None  # code, target, output of a chunk

    def add(self, batch: Batch, mean: Latent, estimate: Tensor) -> None:
        """The next chunks; the last of the batch before is the first one's neighbour."""
        self.codes.append(mean.map(lambda x: x.float().cpu()))
        first = mean.map(_first), _first(batch.target), _first(estimate)  # compared with nothing
        code, target, output = self._before or first
        if mean.conditions.tracks:
            earlier = replace(
                mean,
                frames=torch.cat([code.frames, mean.frames[:-1]]),
                clip=torch.cat([code.clip, mean.clip[:-1]]),
            )
            swapped = self.model.decode(earlier)[..., : estimate.shape[-1]]
        else:  # the neighbour's own output: only the code tells them apart
            swapped = torch.cat([output, estimate[:-1]])
        sounds = _array(torch.cat([target, batch.target]))
        outputs, others = _array(estimate), _array(swapped)
        for row in range(0 if self._before else 1, len(outputs)):
            self.change.add((sounds[row + 1], sounds[row]), (outputs[row], others[row]))
        self._before = mean.map(_last), _last(batch.target), _last(estimate)

    def values(self) -> dict[str, float]:
        """The numbers that could be measured."""
        frames = np.concatenate([c.frames.transpose(1, 2).flatten(0, 1) for c in self.codes])
        clips = np.concatenate([c.clip for c in self.codes])
        found = {
            "active_units": active_units(variances(frames, clips)),
            "decode_change": self.change.value,
        }
        return {name: value for name, value in found.items() if not math.isnan(value)}


def _array(audio: Tensor) -> NDArray[np.float32]:
    return audio.float().cpu().numpy()


def _first(rows: Tensor) -> Tensor:
    return rows[:1]


def _last(rows: Tensor) -> Tensor:
    return rows[-1:]
