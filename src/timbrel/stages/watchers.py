"""What watches a training, built from its config: curves, alarms, sounds, W&B, checkpoints."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from timbrel.data.chunks.chunk import Measuring
from timbrel.data.chunks.loaders import validation_loader
from timbrel.data.split.parts import Segment
from timbrel.stages.additions import Additions, with_own
from timbrel.stages.recordings import Recordings
from timbrel.stages.run_folders import fixed_folder
from timbrel.sweeps.record import read_record
from timbrel.sweeps.search.note import TrialNote
from timbrel.training.alarms import Alarms
from timbrel.training.callbacks import Checkpoints, Clock, Curves, EarlyStop, Validation
from timbrel.training.code_scores import MeasuredChunks
from timbrel.training.compute import Compute
from timbrel.training.console import Console
from timbrel.training.held_out_audio import HeldOutAudio, HeldOutClip, choose_clips
from timbrel.training.metrics_log import MetricsLog

if TYPE_CHECKING:
    from timbrel.training.wandb_log import WandbSettings

_CLIP_CHUNKS = 2  # length of a logged held-out clip, at most
_CLEAN_CHUNKS = 16  # training chunks scored beside the held-out ones, at most


def watchers(
    config: DictConfig,
    found: Recordings,
    compute: Compute,
    folder: Path,
    log: MetricsLog,
    first_step: int,
    measuring: Measuring | None,
    added: Additions,
    code_chunks: MeasuredChunks | None = None,
) -> tuple[list[Any], Any]:
    """The callbacks of a training, in the order they act, and its W&B run (None without one).

    `measuring` gives the chunks' tracks, where the decoder needs any; `code_chunks` are those by
    which the code is judged.
    """
    trainer, data = config.trainer, config.data
    held_out = {segment.clip.content_hash for segment in found.split.validation}
    batches = validation_loader(
        found.split.validation,
        batch_size=trainer.batch_size,
        chunk_samples=data.chunk_samples,
        limit=trainer.validation_chunks,
        short=str(data.short),
        measuring=measuring,
    )
    train_clean = validation_loader(
        found.split.train,
        batch_size=trainer.batch_size,
        chunk_samples=data.chunk_samples,
        limit=min(_CLEAN_CHUNKS, max(1, trainer.validation_chunks // 2)),
        short=str(data.short),
        measuring=measuring,
    )
    clock = Clock()
    validation = Validation(
        batches,
        trainer.validate_every_steps,
        train_clean,
        code_chunks,
        max(1, trainer.disentanglement_every_validations),
        recordings=min(len(held_out), trainer.validation_chunks),
    )
    curves = Curves(log, validation, trainer.log_every_steps)
    step_s = trainer.batch_size * data.chunk_samples / data.sample_rate_hz
    train_s = sum(segment.n_samples for segment in found.split.train) / data.sample_rate_hz
    callbacks: list[Any] = [clock, validation, curves]
    alarms: Alarms | None = None
    if _watches(config, "alarms"):
        alarms = Alarms(folder / "alarms.csv", validation, config.limits, **config.alarms)
        alarms.table.truncate(first_step)
        callbacks.append(alarms)
    audio: HeldOutAudio | None = None
    if _watches(config, "audio"):
        clips = choose_clips(found.split.validation, config.logger.clips)
        audio = HeldOutAudio(
            folder / "audio",
            _held_out(clips, data.chunk_samples),
            validation,
            rate_hz=data.sample_rate_hz,
            every_validations=config.logger.every_validations,
        )
        callbacks.append(audio)
    wandb_run = None
    if config.logger.kind == "wandb":
        from timbrel.training.wandb_log import WandbLog, start_run

        # A fixed folder's own name, such as seed0, is no other study's or cell's.
        name = f"{config.name} {folder.name}" if fixed_folder() else folder.name
        flat = OmegaConf.to_container(config, resolve=True, enum_to_str=True)
        settings = wandb_settings(config.logger, name, folder)
        wandb_run = start_run(settings, folder, {**flat, "sweep": sweep_of(folder)})  # type: ignore[dict-item]
        callbacks.append(WandbLog(wandb_run, curves, audio, alarms))
    if trainer.early_stop_patience is not None:
        callbacks.append(EarlyStop(validation, trainer.early_stop_patience))
    if _watches(config, "console"):
        epoch_steps = max(1.0, train_s / step_s)
        callbacks.append(
            Console(validation, steps_per_epoch=epoch_steps, audio_s_per_step=step_s, alarms=alarms)
        )
    callbacks += with_own(callbacks, curves, config, added)
    callbacks.append(Checkpoints(folder, validation, clock, trainer.checkpoint_every_steps))
    return callbacks, wandb_run


def wandb_settings(logger: DictConfig, name: str | None, folder: Path) -> "WandbSettings":
    """How the W&B run of a config's `logger` is begun, or gone on with where it has no `name`.

    The run in `folder` of a study has its group, and is its cell or trial.
    """
    from timbrel.training.wandb_log import WandbSettings

    sweep = sweep_of(folder)
    job_type = next((kind for kind in ("trial", "cell") if kind in sweep), "train")
    return WandbSettings.of(logger, name=name, study=sweep.get("study"), job_type=job_type)


def sweep_of(folder: Path) -> dict[str, str | int]:
    """Of which study the run in `folder` is, and which cell or trial of it; {} of none."""
    if (note := TrialNote.of(os.environ)) is not None:
        return {"study": note.study, "trial": note.number}
    record = read_record(folder)
    return {} if record is None else {k: v for k, v in record.about.items() if k != "seed"}


def _watches(config: DictConfig, name: str) -> bool:
    """Whether the built-in callback `name` is in use, as it is in runs without this section."""
    return bool(config.callbacks.get(name, True))


def _held_out(segments: Sequence[Segment], chunk_samples: int) -> list[HeldOutClip]:
    clips = []
    for segment in segments:
        stop = min(segment.stop_sample, segment.start_sample + _CLIP_CHUNKS * chunk_samples)
        audio = replace(segment, stop_sample=stop).samples()
        clips.append(HeldOutClip(segment.clip.name, audio))
    return clips
