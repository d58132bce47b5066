"""Several processes of one machine that train one model: what they tell each other in a step.

Each has its share of every batch, and an own copy of model and optimizers. They stay the same, for
all take the same steps: by the mean of all gradients, of a loss whose coupled part is that of the
whole batch. Where a process is by itself, nothing here does anything.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, distributed, nn

from timbrel.losses.mix import Objective
from timbrel.randomness import Share
from timbrel.training.horizon import Horizon

HOST = "127.0.0.1"
# Process 0 may validate for long; that a process has ended is noticed otherwise.
_PATIENCE = timedelta(days=7)


def meeting_point() -> distributed.TCPStore:
    """Where the processes find each other; its `port` is a free one. Process 0 holds it."""
    return distributed.TCPStore(HOST, 0, is_master=True, wait_for_workers=False, timeout=_PATIENCE)


def arrived(port: int) -> distributed.TCPStore:
    """The meeting point that process 0 holds, as another process reaches it."""
    return distributed.TCPStore(HOST, port, is_master=False, timeout=_PATIENCE)


@contextmanager
def joined(share: Share, store: distributed.TCPStore, accelerator: str) -> Iterator[None]:
    """Be one of the processes until the block ends: it begins when all of them have come."""
    backend = "cpu:gloo,cuda:nccl" if accelerator == "cuda" else "gloo"
    distributed.init_process_group(
        backend, store=store, rank=share.index, world_size=share.count, timeout=_PATIENCE
    )
    try:
        yield
    finally:
        distributed.destroy_process_group()


def gathered(share: Share, *trees: Any) -> tuple[Any, ...]:
    """`trees`, whatever has a `map` over its tensors, each with the rows of all processes.

    In the order of the batch, and with their gradients: every process must then take the same loss
    of them.
    """
    if share.count == 1:
        return trees
    tensors: list[Tensor] = []
    for tree in trees:
        tree.map(lambda tensor: (tensors.append(tensor), tensor)[1])
    whole = iter(_Gather.apply(share, *tensors))
    return tuple(tree.map(lambda _: next(whole)) for tree in trees)


class _Gather(torch.autograd.Function):
    """Rows of all processes, of all tensors at once, as bytes: so a step has one exchange of them.

    Backwards no process hears of the others: they take the same loss of the same rows, and the
    gradient of the sum of these losses is that of one, times their number.
    """

    @staticmethod
    def forward(ctx: Any, share: Share, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.share = share
        ctx.set_materialize_grads(False)
        own = torch.cat([tensor.reshape(-1).view(torch.uint8) for tensor in tensors])
        parts = [torch.empty_like(own) for _ in range(share.count)]
        distributed.all_gather(parts, own)
        sizes = [tensor.numel() * tensor.element_size() for tensor in tensors]
        columns = zip(*(part.split(sizes) for part in parts), strict=True)
        whole = tuple(
            # A copy begins where a number of any size may begin.
            torch.cat([rows.clone().view(like.dtype).view(like.shape) for rows in column])
            for like, column in zip(tensors, columns, strict=True)
        )
        ctx.mark_non_differentiable(*(x for x in whole if not x.is_floating_point()))
        return whole

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        share = ctx.share
        return None, *(None if g is None else share.of(g) * share.count for g in gradients)


@torch.no_grad()
def mean_gradients(share: Share, parameters: Iterable[nn.Parameter]) -> None:
    """Let every gradient be its mean over the processes."""
    if share.count == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    for gradient, mean in zip(gradients, _means(share, gradients), strict=True):
        gradient.copy_(mean)


def mean_objective(share: Share, objective: Objective) -> Objective:
    """What the whole batch's objective is, to be told: its values are means over the processes."""
    if share.count == 1:
        return objective
    total, *terms = _means(share, [objective.total, *objective.terms.values()])
    return replace(objective, total=total, terms=dict(zip(objective.terms, terms, strict=True)))


def _means(share: Share, tensors: list[Tensor]) -> list[Tensor]:
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
    distributed.all_reduce(flat)
    parts = (flat / share.count).split([tensor.numel() for tensor in tensors])
    return [part.view_as(tensor) for part, tensor in zip(parts, tensors, strict=True)]


class Together(pl.Callback):
    """After every step all take over from process 0 whether to stop, and what its clock has fixed.

    Must come last, after whatever may ask for a stop.
    """

    def on_train_start(self, trainer: pl.Trainer, module: Any) -> None:
        """A training that was at its end takes no step more."""
        if module.horizon.reached(module.step):
            trainer.should_stop = True

    def on_train_batch_end(self, trainer: pl.Trainer, module: Any, *_: Any) -> None:
        """Tell it, or be told."""
        horizon: Horizon = module.horizon
        told: list[Any] = [trainer.should_stop, horizon.state()]
        distributed.broadcast_object_list(told, src=0, device=torch.device("cpu"))
        trainer.should_stop = told[0]
        horizon.restore(told[1])
