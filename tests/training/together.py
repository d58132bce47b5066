"""What each of several processes does in `test_processes`: a child imports it by this name."""

import pickle
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.presets import LATENTS
from timbrel.contracts import Latent
from timbrel.losses.mix import Objective
from timbrel.randomness import WHOLE, Share
from timbrel.training.horizon import Horizon
from timbrel.training.module import DivergedError
from timbrel.training.processes import (
    Together,
    arrived,
    gathered,
    joined,
    mean_gradients,
    mean_objective,
)
from training.tiny import choices, measured, training

BATCH, STEPS, COUNT = 4, 3, 2
RATE = 0.03


@dataclass(frozen=True)
class Trained:
    """What some steps came to."""

    weights: dict[str, Tensor]
    terms: list[dict[str, float]]
    norms: list[float]


def trained(latent: str, share: Share = WHOLE) -> Trained:
    """Some steps with this process's share of a batch; part of every code is dropped.

    Of plain descent: the first steps of Adam make much of gradients that are nothing but rounding.
    """
    module = training(
        choices("spectral", latent), share=share, latent_dropout=0.25, learning_rate=RATE,
        make=partial(torch.optim.SGD, lr=RATE),
    )  # fmt: skip
    batch = measured("spectral", BATCH).map(share.of)
    terms, norms = [], []
    for index in range(STEPS):
        module.training_step(batch, index)
        assert module.objective is not None
        terms.append({name: float(value) for name, value in module.objective.terms.items()})
        norms.append(module.gradient_norm)
    return Trained({k: v.detach() for k, v in module.state_dict().items()}, terms, norms)


def diverged(share: Share) -> list[int]:
    """The examples that are named where the sound of the last one is not finite."""
    module = training(choices("spectral", "vae"), share=share)
    batch = measured("spectral", BATCH)
    target = batch.target.clone()
    target[-1] = torch.nan
    with pytest.raises(DivergedError) as caught:
        module.training_step(replace(batch, target=target).map(share.of), 0)
    return caught.value.batch.clip_id.tolist()


def told(share: Share) -> tuple[bool, float]:
    """Whether to stop, and the elapsed time, after process 0 alone wanted to and had a clock."""
    first = share.index == 0
    trainer = SimpleNamespace(should_stop=first)
    horizon = Horizon(max_time_s=60.0, elapsed_s=7.0 if first else 0.0)
    Together().on_train_batch_end(trainer, SimpleNamespace(horizon=horizon))  # type: ignore[arg-type]
    return trainer.should_stop, horizon.elapsed_s


def exchanged(share: Share) -> dict[str, Any]:
    """What the exchanges give, of rows that are told apart."""
    whole = torch.arange(12.0).reshape(4, 3)
    own = share.of(whole).clone().requires_grad_()
    marks = torch.tensor([[True], [False], [False], [True]])
    latent = Latent(own[:, :, None], share.of(marks))
    (found,) = gathered(share, latent)
    (found.frames.squeeze(2) * whole).sum().backward()
    parameter = nn.Parameter(torch.zeros(2))
    parameter.grad = torch.tensor([1.0, share.index])
    mean_gradients(share, [parameter, nn.Parameter(torch.zeros(1))])
    value = torch.tensor(float(share.index))
    objective = mean_objective(share, Objective(value, {"a": 2 * value}, {"a": 1.0}))
    return {
        "rows": (found.frames.squeeze(2).detach(), found.clip),
        "gradient": own.grad,
        "mean": parameter.grad,
        "objective": (float(objective.total), float(objective.terms["a"])),
    }


def process(index: int, port: int, answers: Connection) -> None:
    torch.set_num_threads(1)
    share = Share(index, COUNT)
    with joined(share, arrived(port), "cpu"):
        found: dict[str, Any] = {latent: trained(latent, share) for latent in LATENTS}
        found |= {f.__name__: f(share) for f in (diverged, told, exchanged)}
    answers.send_bytes(pickle.dumps(found))  # plain bytes: they outlive the process
