"""Checks of a training that several processes share (`device.processes`)."""

import math
from collections.abc import Iterator

from timbrel.config.choices import Accelerator
from timbrel.config.schema import TrainConfig

_SHARED = (Accelerator.cpu, Accelerator.cuda)


def process_problems(config: TrainConfig) -> Iterator[str]:
    """What several processes cannot share."""
    count, batch_size = config.device.processes, config.trainer.batch_size
    if not 1 < count < math.inf:
        return  # one, or out of bounds
    key = f"device.processes={count}"
    if config.device.accelerator not in _SHARED:
        yield (
            f"{key}: with device.accelerator={config.device.accelerator} one process trains; take "
            "device=ddp_cpu or device=ddp_cuda"
        )
    if batch_size % count:
        nearest = max(1, round(batch_size / count)) * count
        yield (
            f"{key}: trainer.batch_size={batch_size} cannot be shared equally; take "
            f"trainer.batch_size={nearest}, or as many processes as divide it"
        )
    if config.loss.get("adversaries"):
        yield (
            f"{key}: the networks of loss.adversaries judge whole batches, which every process "
            "would have to do; take device.processes=1, or a loss without adversaries"
        )
