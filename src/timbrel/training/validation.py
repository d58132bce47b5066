"""Held-out loss: averaged weights, posterior mean, no augmentation."""

from collections.abc import Iterable
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from timbrel.contracts import Batch
from timbrel.losses.latent import rate_nats
from timbrel.losses.mix import LossMix
from timbrel.models.autoencoder import Autoencoder


@torch.no_grad()
def validate(
    model: Autoencoder,
    batches: Iterable[Batch],
    reconstruction: nn.Module,
    mix: LossMix,
    step: int,
    autocast: AbstractContextManager[None],
) -> dict[str, float]:
    """Means over all held-out chunks.

    `loss` is the weighted reconstruction alone, by which checkpoints are chosen (the rate would
    make it incomparable between schedules); each term; `nats_per_frame` and `nats_per_second`
    where the posterior has a variance.
    """
    device = next(model.parameters()).device
    sums: dict[str, Tensor] = {}
    examples = 0
    for cpu_batch in batches:
        batch = cpu_batch.to(device)
        with autocast:
            posterior = model.encode(batch.input, batch.conditions)
            estimate = model.decode(posterior.mean, batch.conditions)
        n_time = batch.target.shape[-1]
        terms = dict(reconstruction(estimate[..., :n_time].float(), batch.target))
        if posterior.log_var is not None:
            nats = rate_nats(posterior)
            terms["nats_per_frame"] = nats * model.hop_samples / n_time
            terms["nats_per_second"] = nats * model.sample_rate_hz / n_time
        for name, term in terms.items():
            sums[name] = sums.get(name, torch.zeros((), device=device)) + term.sum()
        examples += len(batch.target)
    if examples == 0:
        return {}
    means = {name: float(total) / examples for name, total in sums.items()}
    weights = mix.weights_at(step)
    loss = sum(weights[name] * mean for name, mean in means.items() if name in weights)
    return {"loss": loss, **means}
