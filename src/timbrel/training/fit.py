"""Run the training loop: Lightning drives, the callbacks of this package follow every step."""

import json
import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import lightning.pytorch as pl
import torch
from torch.utils.data import DataLoader

from timbrel.contracts import Batch
from timbrel.errors import UserError
from timbrel.training.callbacks import BEST, LAST, Checkpoints
from timbrel.training.compute import Compute
from timbrel.training.module import DivergedError, Training


@dataclass(frozen=True)
class Fitted:
    """How a training ended. `best_step` is the one whose weights the module now holds."""

    steps: int
    best_step: int
    best_loss: float


def resume_step(folder: Path) -> int | None:
    """The step of the run's last checkpoint; None where there is none yet."""
    path = folder / LAST
    if not path.exists():
        return None
    checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    return int(checkpoint["timbrel"]["step"])


def fit(
    module: Training,
    loader: "DataLoader[Batch]",
    callbacks: Sequence[pl.Callback],
    folder: Path,
    compute: Compute,
    clip_names: Mapping[int, str],
) -> Fitted:
    """Train to the horizon, then load the best averaged weights into `module`.

    Goes on from `last.ckpt` in `folder` where there is one; `loader` must start at its step.

    Raises:
        UserError: a loss or gradient is not finite; `diverged.json` names the batch's files.
        KeyboardInterrupt: stopped by Ctrl-C; the last checkpoint stands.
    """
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    last = folder / LAST
    trainer = pl.Trainer(
        accelerator="gpu" if compute.accelerator == "cuda" else compute.accelerator,
        devices=1,
        max_epochs=-1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
        use_distributed_sampler=False,
        default_root_dir=folder,
        callbacks=list(callbacks),
    )
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            warnings.filterwarnings("ignore", message=".*LeafSpec.*")  # Lightning's own
            trainer.fit(
                module, loader, ckpt_path=last if last.exists() else None, weights_only=True
            )
    except DivergedError as error:
        raise UserError(_diverged(error, folder, clip_names)) from error
    except SystemExit as error:  # what Lightning makes of Ctrl-C
        raise KeyboardInterrupt from error
    checkpoints = next(c for c in callbacks if isinstance(c, Checkpoints))
    if (folder / BEST).exists():
        state = torch.load(folder / BEST, map_location="cpu", weights_only=True)["state_dict"]
        module.load_state_dict(state)
    return Fitted(module.step, checkpoints.best_step, checkpoints.best_loss)


def _diverged(error: DivergedError, folder: Path, clip_names: Mapping[int, str]) -> str:
    """Save which examples were in the batch, and say what to do."""
    examples = [
        {"file": clip_names.get(clip, "?"), "start_sample": start}
        for clip, start in zip(
            error.batch.clip_id.tolist(), error.batch.start_sample.tolist(), strict=True
        )
    ]
    path = folder / "diverged.json"
    path.write_text(
        json.dumps({"step": error.step, "what": error.what, "batch": examples}, indent=2) + "\n",
        "utf-8",
    )
    return (
        f"{error}: stopped before it reached the weights. '{path}' names the batch's files; "
        "try a lower trainer.learning_rate, or look at those files with timbrel inspect"
    )
