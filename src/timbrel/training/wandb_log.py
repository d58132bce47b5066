"""Weights & Biases: offline unless told otherwise, and never a reason for a run to stop."""

import os
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import wandb

from timbrel.training.callbacks import Curves
from timbrel.training.held_out_audio import HeldOutAudio
from timbrel.training.module import Training

STEP = "trainer/global_step"
_ONLINE_TIMEOUT_S = 20


@dataclass(frozen=True)
class WandbSettings:
    """Where and how a run is logged; `mode` is `offline` or `online`."""

    mode: str
    project: str
    group: str | None
    tags: tuple[str, ...]
    name: str


def start_run(settings: WandbSettings, folder: Path, config: Mapping[str, Any]) -> wandb.Run:
    """Begin the run, or take it up again in the same folder under the same identity.

    An unreachable server or a missing login costs one line, and the run goes on offline.
    """
    identity = folder / "wandb_run_id.txt"
    if not identity.exists():
        identity.write_text(secrets.token_hex(4))
    arguments: dict[str, Any] = {
        "dir": folder.resolve(),  # its service may run elsewhere
        "id": identity.read_text().strip(),
        "resume": "allow",
        "project": settings.project,
        "group": settings.group,
        "tags": list(settings.tags),
        "name": settings.name,
        "config": dict(config),
    }
    if settings.mode == "online":
        try:
            return _begin(arguments, "online")
        except (wandb.errors.Error, OSError) as error:
            reason = str(error).strip().splitlines()[0]
            sys.stderr.write(
                f"W&B cannot be reached ({reason}); logging offline. "
                f"Later: wandb sync {folder / 'wandb'}/offline-run-*\n"
            )
            wandb.teardown()
    return _begin(arguments, "offline")


def _begin(arguments: dict[str, Any], mode: str) -> wandb.Run:
    if mode == "offline":
        os.environ["WANDB_ERROR_REPORTING"] = "false"  # not even a crash report leaves the machine
    quiet = wandb.Settings(console="off", silent=True, init_timeout=_ONLINE_TIMEOUT_S)
    run = wandb.init(mode=mode, settings=quiet, **arguments)  # type: ignore[arg-type]
    run.define_metric(STEP)
    run.define_metric("*", step_metric=STEP)
    return run


class WandbLog(pl.Callback):
    """Sends on what `Curves` and `HeldOutAudio` wrote for this step. A watcher."""

    def __init__(self, run: wandb.Run, curves: Curves, audio: HeldOutAudio | None) -> None:
        self.run, self.curves, self.audio = run, curves, audio

    def on_train_batch_end(self, trainer: pl.Trainer, module: Training, *_: Any) -> None:
        """Log where there is something, against the training's own step."""
        values: dict[str, Any] = dict(self.curves.latest)
        for files in self.audio.files if self.audio else []:
            values[f"held_out/{files.name}/audio"] = wandb.Audio(str(files.audio))
            values[f"held_out/{files.name}/spectrogram"] = wandb.Image(str(files.picture))
        if values:
            self.run.log({**values, STEP: module.step})
