"""Checks of a composed config, across its fields. Imports nothing heavy."""

import importlib.util
import math
import os
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from timbrel.config.choices import (
    Accelerator,
    DataKind,
    Embedding,
    ExportFormat,
    LoggerKind,
    Precision,
    Source,
)
from timbrel.config.objective import objective_problems
from timbrel.config.phases import phase_problems
from timbrel.config.schema import (
    AlarmsConfig,
    DataConfig,
    DeviceConfig,
    EvaluateConfig,
    EvaluateSection,
    ExportConfig,
    GenerateConfig,
    InspectConfig,
    LoggerConfig,
    TrainConfig,
    TrainerConfig,
    duration_s,
)
from timbrel.errors import UserError, did_you_mean, folder_fault, override_text
from timbrel.paths import user_path

_PARTS = ("train", "validation", "test")
_NOT_IN_PROJECTS = "/\\#?%:"


def missing_message(stage: str, keys: Collection[str]) -> str:
    """The message for required keys that are not set, with how to set them."""
    hints = {
        "data.root": "data.root=FOLDER with your recordings"
        + (", or data=demo for the built-in set" if stage != "generate" else ""),
        "model": "model=FOLDER, a run folder or a model bundle",
        "run": "run=FOLDER, the run folder of a training (outputs/<date>_<time>_<name>)",
    }
    wanted = "; ".join(hints.get(key, f"{key}=...") for key in keys)
    return f"{', '.join(keys)}: not set; give {wanted}"


def check(config: TrainConfig | InspectConfig | EvaluateConfig | GenerateConfig) -> None:
    """Raises UserError with every mistake in `config`."""
    problems: list[str] = []
    if isinstance(config, TrainConfig):
        problems += [*_data(config.data), *_chunks(config), *_trainer(config.trainer)]
        problems += [*_device(config.device), *_seed(config.seed), *_alarms(config.alarms)]
        problems += [*objective_problems(config), *phase_problems(config)]
        problems += [*_limits(config.limits), *_logger(config.logger)]
        if config.data_root is not None and config.run is None:
            problems.append(
                f"data_root={config.data_root}: goes with run= only; a new run takes data.root"
            )
    elif isinstance(config, InspectConfig):
        problems += _data(config.data)
        if config.workers is not None and config.workers < 0:
            problems.append(f"workers={config.workers}: 0 or more, or null")
    elif isinstance(config, EvaluateConfig):
        problems += [*_run(config), *_evaluation(config.evaluate), *_limits(config.limits)]
        problems += [*_device(config.device), *_seed(config.seed)]
    else:
        problems += [*_generate(config), *_export(config.export), *_device(config.device)]
        problems += _seed(config.seed)
    if problems:
        raise UserError("\n  ".join(problems))


def _seed(seed: int) -> Iterator[str]:
    if seed < 0:
        yield f"seed={seed}: 0 or more"


def _data(data: DataConfig) -> Iterator[str]:
    if data.kind == DataKind.folder:
        yield from _folder(data)
    elif data.root is not None:
        yield f"data.root={data.root}: the demo set has no folder; leave it out or take data=folder"
    if data.kind == DataKind.folder and data.files is not None:
        yield f"data.files={data.files}: only data=demo renders a number of files; leave it out"
    if data.kind == DataKind.demo and (data.files is None or data.files < 1):
        yield f"data.files={override_text(data.files)}: 1 or more"
    yield from _also(data)
    if data.train_files is not None and data.train_files < 1:
        yield f"data.train_files={data.train_files}: 1 or more, or null"
    if data.split_file is not None and not user_path(data.split_file, "data.split_file").is_file():
        yield f"data.split_file={data.split_file}: no such file"
    if data.split_theme is not None and data.split_file is None:
        yield f"data.split_theme={data.split_theme}: needs data.split_file"
    if not 8000 <= data.sample_rate_hz <= 192_000:
        yield f"data.sample_rate_hz={data.sample_rate_hz}: between 8000 and 192000"
    if data.channels not in (1, 2):
        yield f"data.channels={data.channels}: 1 (mono) or 2 (stereo)"
    yield from _shares(data)


def _folder(data: DataConfig) -> Iterator[str]:
    if not data.root:
        yield "data.root=null: give the folder of your recordings, or data=demo"
    elif fault := folder_fault(user_path(data.root, "data.root")):
        yield f"data.root={data.root}: {fault}"


def _also(data: DataConfig) -> Iterator[str]:
    """Folders beside data.root, none of which lies in another: no file is met twice."""
    root = user_path(data.root, "data.root") if data.root else None
    # Not Path.resolve, which raises where links lead in a circle.
    known = [Path(os.path.realpath(root))] if root else []
    for text in data.also:
        folder = user_path(text, "data.also")
        if fault := folder_fault(folder):
            yield f"data.also: {text}: {fault}"
            continue
        folder = folder.resolve()
        for other in known:
            if folder.is_relative_to(other) or other.is_relative_to(folder):
                yield f"data.also: {text}: '{other}' is read already; name each folder once"
        known.append(folder)


def _shares(data: DataConfig) -> Iterator[str]:
    for name in ("validation_fraction", "test_fraction"):
        share = getattr(data, name)
        if not 0 <= share < 1:
            yield f"data.{name}={share}: a share, from 0 to below 1"
    total = data.validation_fraction + data.test_fraction
    if total >= 1:
        yield f"data.validation_fraction + data.test_fraction = {total:g}: no file is left to train"
    if data.folds is None:
        if data.fold != 0:
            yield f"data.fold={data.fold}: needs data.folds, the number of folds"
        return
    if data.folds < 2:
        yield f"data.folds={data.folds}: 2 or more, or null"
    elif not 0 <= data.fold < data.folds:
        yield f"data.fold={data.fold}: from 0 to {data.folds - 1} (data.folds={data.folds})"
    if data.split_file is not None:
        yield "data.folds and data.split_file: both say which files are held out; set only one"


def _chunks(config: TrainConfig) -> Iterator[str]:
    chunk = config.data.chunk_samples
    if chunk < 1024:
        yield f"data.chunk_samples={chunk}: 1024 or more"
        return
    for key, hop in _numbers(config.architecture, "architecture", "hop_samples"):
        if hop > 0 and chunk % hop:
            nearest = max(1, round(chunk / hop)) * hop
            yield f"data.chunk_samples={chunk}: no multiple of {key}={hop}; take {nearest}"
            return
    for section in ("architecture", "loss"):
        for key, window in _numbers(getattr(config, section), section, "window_samples"):
            if window > chunk:
                yield f"data.chunk_samples={chunk}: shorter than {key}={window}"
                return


def _numbers(node: Any, path: str, name: str) -> Iterator[tuple[str, int]]:
    """The path and value of every integer `name` under `node` (of a list: its largest).

    Parts outside timbrel are skipped, because they may use the name for something else.
    """
    if not isinstance(node, Mapping):
        return
    if not str(node.get("_target_", "timbrel.")).startswith("timbrel."):
        return
    for key, value in node.items():
        if key == name and isinstance(value, list) and value:
            value = max(value, key=lambda item: item if isinstance(item, int) else 0)
        if key == name and isinstance(value, int):
            yield f"{path}.{key}", value
        yield from _numbers(value, f"{path}.{key}", name)


def _trainer(trainer: TrainerConfig) -> Iterator[str]:
    if trainer.max_time is None and trainer.max_steps is None:
        yield "trainer.max_time and trainer.max_steps are null: set one, or training never ends"
    if trainer.max_time is not None:
        try:
            duration_s(trainer.max_time)
        except UserError as error:
            yield f"trainer.max_time: {error}"
    at_least_one = ("batch_size", "max_steps", "validate_every_steps", "checkpoint_every_steps")
    for name in (*at_least_one, "early_stop_patience", "validation_chunks", "log_every_steps"):
        value = getattr(trainer, name)
        if value is not None and value < 1:
            yield f"trainer.{name}={value}: 1 or more"
    for name in ("weight_decay", "warmup_steps"):
        if not 0 <= getattr(trainer, name) < math.inf:
            yield f"trainer.{name}={getattr(trainer, name)}: 0 or more"
    for name in ("learning_rate", "gradient_clip_norm"):
        value = getattr(trainer, name)
        if value is not None and not value > 0:
            yield f"trainer.{name}={value}: above 0"
    if trainer.ema_decay is not None and not 0 <= trainer.ema_decay < 1:
        yield f"trainer.ema_decay={trainer.ema_decay}: from 0 to below 1, or null"
    if len(trainer.betas) != 2 or not all(0 <= beta < 1 for beta in trainer.betas):
        yield f"trainer.betas={override_text(trainer.betas)}: two numbers from 0 to below 1"


def _alarms(alarms: AlarmsConfig) -> Iterator[str]:
    if alarms.grace_steps < 0:
        yield f"alarms.grace_steps={alarms.grace_steps}: 0 or more"
    if alarms.patience < 1:
        yield f"alarms.patience={alarms.patience}: 1 or more"


def _limits(limits: object) -> Iterator[str]:
    for name, value in vars(limits).items():
        if value is not None and not value > 0:
            yield f"limits.{name}={value}: above 0, or null for no limit"


def _logger(logger: LoggerConfig) -> Iterator[str]:
    if logger.clips < 0:
        yield f"logger.clips={logger.clips}: 0 or more"
    if logger.every_validations < 1:
        yield f"logger.every_validations={logger.every_validations}: 1 or more"
    if logger.kind != LoggerKind.wandb:
        return
    yield from _wandb_name("logger.project", logger.project, 128)
    if never := [sign for sign in _NOT_IN_PROJECTS if sign in logger.project]:
        yield f"logger.project={logger.project}: W&B takes no '{never[0]}' in a project's name"
    if logger.group is not None:
        yield from _wandb_name("logger.group", logger.group, 128)
    for tag in logger.tags:
        yield from _wandb_name("logger.tags", tag, 64)


def _wandb_name(key: str, name: str, longest: int) -> Iterator[str]:
    """Names that W&B refuses, at once or later on its server."""
    if not name.strip():
        yield f"{key}={name}: empty; W&B takes 1 to {longest} characters"
    elif len(name) > longest:
        yield f"{key}={name[:40]}...: {len(name)} characters; W&B takes {longest} at most"
    elif not name.isprintable():
        yield f"{key}={name!r}: W&B takes no line ends and no other signs that cannot be printed"


def _device(device: DeviceConfig) -> Iterator[str]:
    if device.accelerator == Accelerator.mps and sys.platform != "darwin":
        yield "device.accelerator=mps: only on a Mac; take device=auto, cuda or cpu"
    if device.accelerator == Accelerator.mps and device.precision == Precision.bf16:
        yield "device.precision=bf16: not on mps; take device.precision=fp32"
    if device.pin_memory and device.accelerator in (Accelerator.cpu, Accelerator.mps):
        yield f"device.pin_memory=true: only for cuda, not {device.accelerator}; leave it out"
    if device.workers is not None and device.workers < 0:
        yield f"device.workers={device.workers}: 0 or more, or null"
    if device.threads is not None and device.threads < 1:
        yield f"device.threads={device.threads}: 1 or more, or null"


def _run(config: EvaluateConfig) -> Iterator[str]:
    if fault := folder_fault(user_path(config.run, "run")):
        what = fault.partition(";")[0]  # of a file: not the folder that holds it
        yield f"run={config.run}: {what}; give the run folder of a training"
    root = config.data_root
    if root is not None and (fault := folder_fault(user_path(root, "data_root"))):
        yield f"data_root={root}: {fault}"


def _evaluation(evaluate: EvaluateSection) -> Iterator[str]:
    if not evaluate.parts:
        yield f"evaluate.parts=[]: at least one of {', '.join(_PARTS)}"
    for part in dict.fromkeys(evaluate.parts):
        if part not in _PARTS:
            hint = did_you_mean(part, _PARTS)
            yield f"evaluate.parts: no part '{part}', only {', '.join(_PARTS)}{hint}"
        elif evaluate.parts.count(part) > 1:
            yield f"evaluate.parts: '{part}' is given twice"
    if evaluate.bootstrap_draws < 100:
        yield (
            f"evaluate.bootstrap_draws={evaluate.bootstrap_draws}: 100 or more, "
            "as fewer draws give no usable intervals"
        )
    if evaluate.generated_clips < 0:
        yield f"evaluate.generated_clips={evaluate.generated_clips}: 1 or more, or 0 for none"
    if evaluate.embedding == Embedding.aisfx and importlib.util.find_spec("aisfx") is None:
        yield (
            "evaluate.embedding=aisfx: not installed; pip install --no-deps aisfx==0.1.2, "
            "or take log_mel"
        )


def _generate(config: GenerateConfig) -> Iterator[str]:
    if fault := folder_fault(user_path(config.model, "model")):
        yield f"model={config.model}: {fault}"
    if config.source == Source.file:
        if config.input is None:
            yield "source=file: needs input=FILE or input=FOLDER, the audio to encode"
        elif fault := _input_fault(user_path(config.input, "input")):
            yield f"input={config.input}: {fault}"
    elif config.input is not None:
        yield f"input={config.input}: only for source=file; the prior takes no input"
    for name in ("temperature", "fade_in_s", "fade_out_s"):
        if getattr(config, name) < 0:
            yield f"{name}={getattr(config, name)}: 0 or more"
    if config.seconds is None:
        return
    if not 0 < config.seconds <= 3600:
        yield f"seconds={config.seconds}: above 0, at most 3600"
    elif config.fade_in_s + config.fade_out_s > config.seconds:
        yield f"fade_in_s and fade_out_s are longer than seconds={config.seconds} together"


def _input_fault(path: Path) -> str | None:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return "no such file or folder"
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    return folder_fault(path) if path.is_dir() else None


def _export(export: ExportConfig) -> Iterator[str]:
    if export.encoding not in ("16", "24", "32f"):
        yield f"export.encoding={export.encoding}: one of 16, 24, 32f"
    elif export.format == ExportFormat.flac and export.encoding == "32f":
        yield "export.encoding=32f: FLAC holds whole numbers only; take 24, or export=wav"
    if not 8000 <= export.sample_rate_hz <= 192_000:
        yield f"export.sample_rate_hz={export.sample_rate_hz}: between 8000 and 192000"
    if export.ceiling_dbtp > 0:
        yield f"export.ceiling_dbtp={export.ceiling_dbtp}: 0 or below"
