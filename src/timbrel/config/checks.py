"""Checks of a composed config, across its fields. Imports nothing heavy."""

import importlib.util
import os
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from timbrel.config.additions import addition_problems
from timbrel.config.bounds import out_of_bounds, refuse
from timbrel.config.choices import (
    Accelerator,
    DataKind,
    Embedding,
    LoggerKind,
    Precision,
    PriorKind,
    SecondPitch,
    TextureKind,
)
from timbrel.config.counterfactual import counterfactual_problems
from timbrel.config.generate_schema import GenerateConfig
from timbrel.config.objective import objective_problems
from timbrel.config.phases import phase_problems
from timbrel.config.processes import process_problems
from timbrel.config.schema import (
    AnalyzeConfig,
    DataConfig,
    DeviceConfig,
    EvaluateConfig,
    EvaluateSection,
    InspectConfig,
    LoggerConfig,
    PriorConfig,
    PriorStageConfig,
    TrainConfig,
    TrainerConfig,
)
from timbrel.config.sources import source_problems
from timbrel.config.values import encoding_problems, split_problems
from timbrel.config.walk import walk
from timbrel.errors import UserError, did_you_mean, folder_fault, override_text
from timbrel.paths import user_path
from timbrel.words import duration_s

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


def check(
    config: TrainConfig
    | InspectConfig
    | EvaluateConfig
    | PriorStageConfig
    | AnalyzeConfig
    | GenerateConfig,
) -> None:
    """Raises UserError with every mistake in `config`."""
    if type(config) not in _CHECKS:
        raise TypeError(f"{type(config).__name__} is the config of no stage")
    refuse(chain(out_of_bounds(config), _CHECKS[type(config)](config)))


def _train(config: TrainConfig) -> Iterator[str]:
    yield from _data(config.data)
    yield from _chunks(config)
    yield from _trainer(config.trainer)
    yield from _arithmetic(config.device)
    yield from process_problems(config)
    yield from objective_problems(config)
    yield from phase_problems(config)
    yield from counterfactual_problems(config)
    yield from addition_problems(config)
    yield from _logger(config.logger)
    yield from _prior(config.prior)
    if config.data_root is not None and config.run is None and config.reproduce is None:
        yield f"data_root={config.data_root}: goes with run= only; a new run takes data.root"


def _prior(prior: PriorConfig) -> Iterator[str]:
    if not prior.bank and prior.kind in (PriorKind.bank, PriorKind.resample):
        yield (
            f"prior.bank=false: prior.kind={prior.kind} draws on the recordings' codes; take "
            "prior=gaussian or prior=flow, or leave prior.bank out"
        )
    if prior.texture == TextureKind.var:
        if prior.kind not in (PriorKind.auto, PriorKind.resample):
            yield (
                f"prior.texture=var: prior.kind={prior.kind} draws no textures by it; take "
                "prior=resample, or leave prior.texture out"
            )
        elif not prior.bank:
            yield (
                "prior.texture=var: draws on the recordings' codes, which prior.bank=false leaves "
                "out; leave out one of them"
            )


def _analyze(config: AnalyzeConfig) -> Iterator[str]:
    yield from _run(config)
    yield from _device(config.device)


def _prior_stage(config: PriorStageConfig) -> Iterator[str]:
    yield from _run(config)
    yield from _prior(config.prior)
    yield from _device(config.device)


def _inspect(config: InspectConfig) -> Iterator[str]:
    return _data(config.data)


def _evaluate(config: EvaluateConfig) -> Iterator[str]:
    yield from _run(config)
    yield from _evaluation(config.evaluate)
    yield from _device(config.device)


def _data(data: DataConfig) -> Iterator[str]:
    if data.kind == DataKind.folder:
        yield from _folder(data)
    elif data.root is not None:
        yield f"data.root={data.root}: the demo set has no folder; leave it out or take data=folder"
    if data.kind == DataKind.folder and data.files is not None:
        yield f"data.files={data.files}: only data=demo renders a number of files; leave it out"
    if data.kind == DataKind.demo and data.files is None:
        yield "data.files=null: 1 or more"
    yield from _also(data)
    if data.split_file is not None and not user_path(data.split_file, "data.split_file").is_file():
        yield f"data.split_file={data.split_file}: no such file"
    if data.split_theme is not None and data.split_file is None:
        yield f"data.split_theme={data.split_theme}: needs data.split_file"
    yield from split_problems(data)


def _folder(data: DataConfig) -> Iterator[str]:
    if not data.root:
        yield "data.root=null: give the folder of your recordings, or data=demo"
    elif fault := folder_fault(user_path(data.root, "data.root")):
        yield f"data.root={data.root}: {fault}"


def _also(data: DataConfig) -> Iterator[str]:
    """Folders besides data.root; none may lie in another, so that no file is read twice."""
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


def _chunks(config: TrainConfig) -> Iterator[str]:
    chunk = config.data.chunk_samples
    if chunk < 1:
        return  # out of bounds
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
    for key, value in walk(node, path, enter=_is_ours):
        if key.rpartition(".")[2] != name:
            continue
        if isinstance(value, list) and value:
            value = max(value, key=lambda item: item if isinstance(item, int) else 0)
        if isinstance(value, int):
            yield key, value


def _is_ours(node: Any) -> bool:
    target = node.get("_target_", "timbrel.") if isinstance(node, Mapping) else "timbrel."
    return str(target).startswith("timbrel.")


def _trainer(trainer: TrainerConfig) -> Iterator[str]:
    if trainer.max_time is None and trainer.max_steps is None:
        yield "trainer.max_time and trainer.max_steps are null: set one, or training never ends"
    if trainer.max_time is not None:
        try:
            duration_s(trainer.max_time)
        except UserError as error:
            yield f"trainer.max_time: {error}"
    if len(trainer.betas) != 2:
        yield f"trainer.betas={override_text(trainer.betas)}: two numbers"


def _logger(logger: LoggerConfig) -> Iterator[str]:
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
    """Of a stage that is no training."""
    yield from _arithmetic(device)
    if device.processes > 1:
        yield f"device.processes={device.processes}: only timbrel train takes several; leave it out"


def _arithmetic(device: DeviceConfig) -> Iterator[str]:
    if device.accelerator == Accelerator.mps and sys.platform != "darwin":
        yield "device.accelerator=mps: only on a Mac; take device=auto, cuda or cpu"
    if device.accelerator == Accelerator.mps and device.precision == Precision.bf16:
        yield "device.precision=bf16: not on mps; take device.precision=fp32"
    if device.pin_memory and device.accelerator in (Accelerator.cpu, Accelerator.mps):
        yield f"device.pin_memory=true: only for cuda, not {device.accelerator}; leave it out"


def _run(config: EvaluateConfig | PriorStageConfig | AnalyzeConfig) -> Iterator[str]:
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
    if evaluate.embedding == Embedding.aisfx and importlib.util.find_spec("aisfx") is None:
        yield (
            "evaluate.embedding=aisfx: not installed; pip install --no-deps aisfx==0.1.2, "
            "or take log_mel"
        )
    if evaluate.second_pitch == SecondPitch.swift_f0 and not importlib.util.find_spec("swift_f0"):
        yield (
            "evaluate.second_pitch=swift_f0: not installed; pip install 'timbrel[swiftf0]', "
            "or take none"
        )


def _generate(config: GenerateConfig) -> Iterator[str]:
    if fault := folder_fault(user_path(config.model, "model")):
        yield f"model={config.model}: {fault}"
    yield from source_problems(config)
    seconds, fades_s = config.seconds, config.fade_in_s + config.fade_out_s
    if seconds is not None and 0 < seconds < fades_s:
        yield f"fade_in_s and fade_out_s are longer than seconds={seconds} together"
    yield from _device(config.device)
    yield from encoding_problems(config.export)


_CHECKS: Mapping[type, Callable[[Any], Iterator[str]]] = {
    TrainConfig: _train,
    InspectConfig: _inspect,
    EvaluateConfig: _evaluate,
    PriorStageConfig: _prior_stage,
    AnalyzeConfig: _analyze,
    GenerateConfig: _generate,
}
"""By the schema of every stage."""
