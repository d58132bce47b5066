"""Run the training loop: Lightning drives, the callbacks of this package follow every step."""

import json
import logging
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.loggers import Logger
from lightning.pytorch.plugins.environments import LightningEnvironment
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch.utils.data import DataLoader

from timbrel.contracts import Batch
from timbrel.errors import UserError
from timbrel.files import write_text
from timbrel.training.callbacks import Checkpoints
from timbrel.training.checkpoint import (
    BEST,
    CheckpointFiles,
    DamagedError,
    read_checkpoint,
    start_of,
)
from timbrel.training.compute import Compute
from timbrel.training.module import DivergedError, Training
from timbrel.training.processes import Together


@dataclass(frozen=True)
class Fitted:
    """How a training ended. `best_step` is the one whose weights the module now holds."""

    steps: int
    best_step: int
    best_loss: float


def fit(
    module: Training,
    loader: "DataLoader[Batch]",
    callbacks: Sequence[pl.Callback],
    folder: Path,
    compute: Compute,
    clip_names: Mapping[int, str],
    *,
    loggers: Sequence[Logger] = (),
    log_every_steps: int = 1,
) -> Fitted:
    """Train to the horizon, then load the best averaged weights into `module`.

    Goes on from the checkpoint in `folder` where there is one, which `resume_step` has checked;
    `loader` must start at its step. Callbacks of Lightning's log to `loggers` every
    `log_every_steps` steps.

    Raises:
        UserError: a loss or gradient is not finite; `diverged.json` names the batch's files. Or
            Lightning refuses a callback or a logger.
        WriteError: a checkpoint or a table cannot be written; the checkpoint before it stands.
        KeyboardInterrupt: stopped by Ctrl-C; the last checkpoint stands.
    """
    settings = {"logger": list(loggers) or False, "log_every_n_steps": log_every_steps}
    try:
        _run(module, loader, callbacks, folder, compute, **settings)
    except MisconfigurationException as error:
        told = str(error).strip().splitlines()[0]
        raise UserError(f"callbacks, logger.extra: Lightning refuses them: {told}") from error
    except DivergedError as error:
        raise UserError(_diverged(error, folder, clip_names)) from error
    except SystemExit as error:  # what Lightning makes of Ctrl-C
        raise KeyboardInterrupt from error
    checkpoints = next(c for c in callbacks if isinstance(c, Checkpoints))
    if checkpoints.best_step:
        module.load_state_dict(_best(folder)["state_dict"])
    return Fitted(module.step, checkpoints.best_step, checkpoints.best_loss)


def follow(module: Training, loader: "DataLoader[Batch]", folder: Path, compute: Compute) -> None:
    """Train beside the process that calls `fit`, which alone validates, tells and writes."""
    with suppress(DivergedError):  # the other one meets it too, and tells it
        _run(module, loader, [], folder, compute, logger=False)


def _run(
    module: Training,
    loader: "DataLoader[Batch]",
    callbacks: Sequence[pl.Callback],
    folder: Path,
    compute: Compute,
    **settings: Any,
) -> None:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    together = [Together()] if compute.share.count > 1 else []
    trainer = pl.Trainer(
        accelerator="gpu" if compute.accelerator == "cuda" else compute.accelerator,
        devices=[compute.share.index] if compute.accelerator == "cuda" else 1,
        max_epochs=-1,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
        use_distributed_sampler=False,
        default_root_dir=folder,
        callbacks=[*callbacks, *together],
        # Else Lightning would take a cluster's job for processes of its own making.
        plugins=[CheckpointFiles(), LightningEnvironment()],
        **settings,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*LeafSpec.*")  # Lightning's own
        trainer.fit(module, loader, ckpt_path=start_of(folder), weights_only=True)


def _best(folder: Path) -> dict[str, Any]:
    try:
        return read_checkpoint(folder / BEST)
    except DamagedError as error:
        raise UserError(
            f"'{folder / BEST}' was damaged while the training went on: {error}; to make a model "
            f"of the last weights instead: timbrel train run={folder}"
        ) from error


def _diverged(error: DivergedError, folder: Path, clip_names: Mapping[int, str]) -> str:
    """Save which examples were in the batch, and say what to do."""
    examples = [
        {"file": clip_names.get(clip, "?"), "start_sample": start}
        for clip, start in zip(
            error.batch.clip_id.tolist(), error.batch.start_sample.tolist(), strict=True
        )
    ]
    path = folder / "diverged.json"
    about = {"step": error.step, "what": error.what, "batch": examples}
    write_text(path, json.dumps(about, indent=2) + "\n")
    return (
        f"{error}: stopped before it reached the weights. '{path}' names the batch's files; "
        "try a lower trainer.learning_rate, or look at those files with timbrel inspect"
    )
