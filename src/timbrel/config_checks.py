"""Checks across fields of a composed config, and of `_target_`s against their signatures.

`check` needs nothing heavy. `check_targets` imports what it checks (so, torch): a stage calls it
when it is about to build.
"""

import importlib
import inspect
import sys
import types
import typing
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from timbrel.config import (
    Accelerator,
    DataConfig,
    DataKind,
    DeviceConfig,
    ExportConfig,
    ExportFormat,
    GenerateConfig,
    InspectConfig,
    Precision,
    Source,
    TrainConfig,
    TrainerConfig,
    duration_s,
)
from timbrel.errors import UserError, did_you_mean

_RESERVED = frozenset({"_target_", "_partial_", "_args_", "_recursive_", "_convert_"})


def missing_message(stage: str, keys: Collection[str]) -> str:
    """How to give the required keys that a config lacks."""
    hints = {
        "data.root": "data.root=FOLDER with your recordings"
        + (", or data=demo for the built-in set" if stage != "generate" else ""),
        "model": "model=FOLDER, a run folder or a model bundle",
    }
    wanted = "; ".join(hints.get(key, f"{key}=...") for key in keys)
    return f"{', '.join(keys)}: not set; give {wanted}"


def check(config: TrainConfig | InspectConfig | GenerateConfig) -> None:
    """Refuse what cannot work, all problems at once. Raises UserError."""
    problems: list[str] = []
    if isinstance(config, TrainConfig):
        problems += [*_data(config.data), *_chunks(config), *_trainer(config.trainer)]
        problems += [*_device(config.device), *_seed(config.seed)]
        if config.logger.clips < 0:
            problems.append(f"logger.clips={config.logger.clips}: 0 or more")
        if config.logger.every_validations < 1:
            problems.append(
                f"logger.every_validations={config.logger.every_validations}: 1 or more"
            )
    elif isinstance(config, InspectConfig):
        problems += _data(config.data)
        if config.workers is not None and config.workers < 0:
            problems.append(f"workers={config.workers}: 0 or more, or null")
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
        yield f"data.files={_text(data.files)}: 1 or more"
    if data.split_file is not None and not Path(data.split_file).expanduser().is_file():
        yield f"data.split_file={data.split_file}: no such file"
    if data.split_theme is not None and data.split_file is None:
        yield f"data.split_theme={data.split_theme}: needs data.split_file"
    if not 8000 <= data.sample_rate_hz <= 192_000:
        yield f"data.sample_rate_hz={data.sample_rate_hz}: between 8000 and 192000"
    if data.channels not in (1, 2):
        yield f"data.channels={data.channels}: 1 (mono) or 2 (stereo)"
    yield from _shares(data)


def _folder(data: DataConfig) -> Iterator[str]:
    folder = Path(data.root).expanduser() if data.root else None
    if folder is None:
        yield "data.root=null: give the folder of your recordings, or data=demo"
    elif not folder.exists():
        yield f"data.root={data.root}: no such folder"
    elif not folder.is_dir():
        yield f"data.root={data.root}: a file; give the folder that holds it"


def _shares(data: DataConfig) -> Iterator[str]:
    for name in ("validation_fraction", "test_fraction"):
        share = getattr(data, name)
        if not 0 <= share < 1:
            yield f"data.{name}={share}: a share, from 0 to below 1"
    total = data.validation_fraction + data.test_fraction
    if total >= 1:
        yield f"data.validation_fraction and data.test_fraction add up to {total:g}: nothing trains"
    if data.folds is None:
        if data.fold != 0:
            yield f"data.fold={data.fold}: needs data.folds, the number of folds"
        return
    if data.folds < 2:
        yield f"data.folds={data.folds}: 2 or more, or null"
    elif not 0 <= data.fold < data.folds:
        yield f"data.fold={data.fold}: from 0 to {data.folds - 1} (data.folds={data.folds})"
    if data.split_file is not None:
        yield "data.folds and data.split_file: the file says who is held out; set only one"


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
    """Every whole number (or the largest of a list) called `name` under `node`."""
    if not isinstance(node, Mapping):
        return
    for key, value in node.items():
        if key == name and isinstance(value, list) and value:
            value = max(value, key=lambda item: item if isinstance(item, int) else 0)
        if key == name and isinstance(value, int):
            yield f"{path}.{key}", value
        yield from _numbers(value, f"{path}.{key}", name)


def _trainer(trainer: TrainerConfig) -> Iterator[str]:
    if trainer.max_time is None and trainer.max_steps is None:
        yield "trainer.max_time and trainer.max_steps are both null: set one, or it never ends"
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
        if getattr(trainer, name) < 0:
            yield f"trainer.{name}={getattr(trainer, name)}: 0 or more"
    for name in ("learning_rate", "gradient_clip_norm"):
        value = getattr(trainer, name)
        if value is not None and not value > 0:
            yield f"trainer.{name}={value}: above 0"
    if trainer.ema_decay is not None and not 0 <= trainer.ema_decay < 1:
        yield f"trainer.ema_decay={trainer.ema_decay}: from 0 to below 1, or null"
    if len(trainer.betas) != 2 or not all(0 <= beta < 1 for beta in trainer.betas):
        yield f"trainer.betas={_text(trainer.betas)}: two numbers from 0 to below 1"


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


def _generate(config: GenerateConfig) -> Iterator[str]:
    if not Path(config.model).expanduser().exists():
        yield f"model={config.model}: no such folder"
    if config.source == Source.file:
        if config.input is None:
            yield "source=file: needs input=FILE, the audio to encode"
        elif not Path(config.input).expanduser().exists():
            yield f"input={config.input}: no such file"
    elif config.input is not None:
        yield f"input={config.input}: only with source=file; the prior needs no input"
    for name in ("temperature", "fade_in_s", "fade_out_s"):
        if getattr(config, name) < 0:
            yield f"{name}={getattr(config, name)}: 0 or more"
    if config.seconds is None:
        return
    if not 0 < config.seconds <= 3600:
        yield f"seconds={config.seconds}: above 0, at most 3600"
    elif config.fade_in_s + config.fade_out_s > config.seconds:
        yield f"fade_in_s and fade_out_s are longer than seconds={config.seconds} together"


def _export(export: ExportConfig) -> Iterator[str]:
    if export.encoding not in ("16", "24", "32f"):
        yield f"export.encoding={export.encoding}: one of 16, 24, 32f"
    elif export.format == ExportFormat.flac and export.encoding == "32f":
        yield "export.encoding=32f: FLAC holds whole numbers only; take 24, or export=wav"
    if not 8000 <= export.sample_rate_hz <= 192_000:
        yield f"export.sample_rate_hz={export.sample_rate_hz}: between 8000 and 192000"
    if export.ceiling_dbtp > 0:
        yield f"export.ceiling_dbtp={export.ceiling_dbtp}: 0 or below"


def check_targets(
    section: Mapping[str, Any], where: str, *, provided: Collection[str] = ()
) -> None:
    """Compare every `_target_` under `section` (plain, resolved) with the signature it names.

    `where` is the section's key, for messages; `provided` are arguments of the outermost targets
    that the caller passes itself. Raises UserError with all problems: a target that is not
    there, an argument it does not take (with the nearest), one it lacks, one of another type.
    """
    problems = list(_targets(section, where, frozenset(provided)))
    if problems:
        raise UserError("\n  ".join(problems))


def _targets(node: Any, where: str, provided: frozenset[str]) -> Iterator[str]:
    if isinstance(node, list | tuple):
        for index, item in enumerate(node):
            yield from _targets(item, f"{where}.{index}", provided)
    if not isinstance(node, Mapping):
        return
    if "_target_" in node:
        try:
            target = locate(str(node["_target_"]))
        except UserError as error:
            yield f"{where}._target_: {error}"
            return
        yield from _arguments(node, where, target, provided)
        provided = frozenset()
    for key, value in node.items():
        yield from _targets(value, f"{where}.{key}", provided)


def _arguments(
    node: Mapping[str, Any], where: str, target: Callable[..., Any], provided: frozenset[str]
) -> Iterator[str]:
    try:
        parameters = inspect.signature(target).parameters
    except (TypeError, ValueError):
        return  # A builtin without a signature: it will speak for itself.
    named = {k: p for k, p in parameters.items() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
    takes_any = any(p.kind == p.VAR_KEYWORD for p in parameters.values())
    hints = _hints(target)
    for key, value in node.items():
        if key in _RESERVED:
            continue
        if key not in named:
            if not takes_any:
                free = [name for name in named if name not in node]
                yield f"{where}.{key}: {_short(node)} takes no '{key}'{did_you_mean(key, free)}"
            continue
        words = _mismatch(value, hints.get(key))
        if words:
            yield f"{where}.{key}={_text(value)}: expected {words}"
    if node.get("_partial_") or node.get("_args_"):
        return
    lacking = [
        name
        for name, parameter in named.items()
        if parameter.default is parameter.empty and name not in node and name not in provided
    ]
    if lacking:
        keys = ", ".join(f"{where}.{name}" for name in lacking)
        yield f"{keys}: not set, and {_short(node)} needs it"


def _short(node: Mapping[str, Any]) -> str:
    return str(node["_target_"]).rpartition(".")[2]


def locate(path: str) -> Callable[..., Any]:
    """The class or function at a dotted path. Raises UserError where there is none."""
    parts = path.split(".")
    for length in range(len(parts) - 1, 0, -1):
        name = ".".join(parts[:length])
        try:
            found: Any = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is not None and not f"{name}.".startswith(f"{error.name}."):
                raise UserError(f"{path}: needs {error.name}, which is not installed") from error
            continue
        for part in parts[length:]:
            if not hasattr(found, part):
                raise UserError(f"{path}: no '{part}' in {name}{did_you_mean(part, dir(found))}")
            found = getattr(found, part)
        if not callable(found):
            raise UserError(f"{path}: neither a class nor a function")
        return found
    raise UserError(f"{path}: no such module")


def _hints(target: Callable[..., Any]) -> dict[str, Any]:
    function = target.__init__ if inspect.isclass(target) else target
    try:
        return typing.get_type_hints(function)
    except Exception:  # Annotations may name what only a type checker imports.
        return {}


def _mismatch(value: Any, annotation: Any) -> str | None:
    """What was expected, where a simple annotation and a plain value clearly disagree."""
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        parts = [_mismatch(value, part) for part in typing.get_args(annotation)]
        return None if None in parts else " or ".join(part for part in parts if part)
    if annotation in (None, type(None)):
        return "null" if value is not None and annotation is type(None) else None
    if typing.get_origin(annotation) is typing.Literal:
        known = [str(option) for option in typing.get_args(annotation)]
        if str(value) in known:
            return None
        return "one of " + ", ".join(known) + did_you_mean(str(value), known)
    simple: dict[Any, tuple[tuple[type, ...], str]] = {
        int: ((int,), "a whole number"),
        float: ((int, float), "a number"),
        bool: ((bool,), "true or false"),
        str: ((str,), "text"),
    }
    if annotation not in simple:
        return None
    kinds, words = simple[annotation]
    if isinstance(value, bool) and annotation is not bool:
        return words
    return None if isinstance(value, kinds) else words


def _text(value: Any) -> str:
    """`value` as the command line writes it."""
    if isinstance(value, list):
        return "[" + ",".join(_text(item) for item in value) + "]"
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return str(value)
