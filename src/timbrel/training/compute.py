"""The device that computes, and its number format."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from timbrel.data.worker_process import available_cores
from timbrel.errors import UserError
from timbrel.randomness import WHOLE, Share

_MAX_WORKERS = 4


@dataclass(frozen=True)
class Compute:
    """A resolved device. `accelerator` is cpu, cuda or mps; `autocast` runs networks in bf16.

    `share` is this process's of every batch, of which each process has a device of its own on cuda.
    """

    accelerator: str
    autocast: bool
    workers: int
    pin_memory: bool
    share: Share = WHOLE

    def kind(self) -> dict[str, str | int]:
        """What its arithmetic depends on, bit for bit: the hardware, the format, the threads."""
        if self.accelerator == "cuda":
            hardware = torch.cuda.get_device_name()
        else:
            hardware = str(torch.backends.cpu.get_cpu_capability())
        return {
            "accelerator": self.accelerator,
            "hardware": hardware,
            "precision": "bf16" if self.autocast else "fp32",
            "threads": torch.get_num_threads(),
            "processes": self.share.count,
        }

    @property
    def torch_device(self) -> torch.device:
        """As torch names it."""
        of_several = self.accelerator == "cuda" and self.share.count > 1
        return torch.device(self.accelerator, self.share.index if of_several else None)


def resolve_compute(
    *,
    accelerator: str,
    precision: str,
    workers: int | None,
    threads: int | None,
    pin_memory: bool | None,
    tf32: bool,
    share: Share = WHOLE,
) -> Compute:
    """Choose a device and set the process's arithmetic for it.

    `auto` takes cuda, then mps, then cpu, and bf16 where the hardware multiplies it natively.
    Processes that share batches on a CPU share its cores too.

    Raises:
        UserError: the device asked for is not there, or does not know the precision; or there are
            fewer of them than processes.
    """
    found = _accelerator(accelerator)
    if found == "cuda" and torch.cuda.device_count() < share.count:
        raise UserError(
            f"device.processes={share.count}: each needs a cuda device of its own, and torch finds "
            f"{torch.cuda.device_count()}; take device.processes={torch.cuda.device_count()}"
        )
    native = _native_bf16(found)
    if precision == "bf16" and not native:
        raise UserError(
            f"device.precision=bf16: this {found} does not multiply bf16 natively, "
            "so bf16 would be slower than fp32; use device.precision=fp32 or auto"
        )
    if threads is None and share.count > 1 and "OMP_NUM_THREADS" not in os.environ:
        threads = max(1, available_cores() // share.count)
    if threads is not None:
        torch.set_num_threads(threads)
    if found == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = tf32
        torch.backends.cudnn.allow_tf32 = tf32
    if found == "mps":
        sys.stderr.write("device=mps: no test has run on Apple silicon; tell us how it goes\n")
    return Compute(
        accelerator=found,
        autocast=native and precision != "fp32",
        workers=workers if workers is not None else (_MAX_WORKERS if found == "cuda" else 0),
        pin_memory=pin_memory if pin_memory is not None else found == "cuda",
        share=share,
    )


def rendering_compute(device: Mapping[str, Any]) -> Compute:
    """That of the section `device` of a stage that is no training: one process, in fp32.

    Raises UserError as `resolve_compute`.
    """
    settings = {key: value for key, value in device.items() if key != "processes"}
    return resolve_compute(**{**settings, "precision": "fp32"})


def _accelerator(wanted: str) -> str:
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if wanted == "auto":
        return next(name for name, present in there.items() if present)
    if not there[wanted]:
        names = ", ".join(name for name, present in there.items() if present)
        raise UserError(f"device={wanted}: torch finds none on this machine; there is {names}")
    return wanted


def _native_bf16(accelerator: str) -> bool:
    if accelerator == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if accelerator == "cpu":
        # Torch computes bf16 on any CPU; without these instructions more slowly than fp32.
        known = torch.cpu.get_capabilities()
        return bool(known.get("avx512_bf16") or known.get("amx_bf16"))
    return False
