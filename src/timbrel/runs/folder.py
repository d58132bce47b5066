"""A run folder, read: config, curves, scores and card, as plain values.

Knows the files and neither torch nor Hydra, so that lists and pages of many runs are quick.
"""

import csv
import io
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from timbrel.errors import UserError, folder_fault
from timbrel.metrics.scores import SCORES
from timbrel.runs.selection import HeldOutLoss

CONFIG_FILE = "config.yaml"
OVERRIDES_FILE = "overrides.yaml"
CARD_FILE = "card.json"
METRICS_FILE = "metrics.csv"
MODEL_FOLDER = "model"
EVALUATION_FOLDER = "evaluation"
ANALYSIS_FOLDER = "analysis"

Curves = dict[str, list[tuple[int, float]]]

_PASSED = {"yes": True, "no": False}
_NUMBERS = {
    "files": ("seconds", *SCORES, "nats_per_second"),
    "summary": ("mean", "low", "high", "files"),
    "gates": ("value", "limit"),
}
_YAML = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C: tens of times as fast


@dataclass(frozen=True)
class Evaluation:
    """The tables of `evaluation/`: numbers as float (nan where empty), the rest as text."""

    files: tuple[dict[str, Any], ...]
    """One row per part, file and system (model, silence, noise)."""
    summary: tuple[dict[str, Any], ...]
    """One row per part, system and metric: mean with its 95 % interval over files."""
    gates: tuple[dict[str, Any], ...]
    """One row per gate; `passed` is True, False, or None where it is not known."""


@dataclass(frozen=True)
class Run:
    """What a run folder, or a bundle standing alone, holds."""

    folder: Path
    name: str
    config: dict[str, Any]
    """`config.yaml`; {} where a bundle stands alone."""
    overrides: tuple[str, ...]
    provenance: dict[str, Any]
    """`run.json`."""
    curves: Curves
    """`metrics.csv`: `(step, value)` pairs in order, by name."""
    card: dict[str, Any]
    """`model/card.json`; {} before the model was written."""
    evaluation: Evaluation | None
    evaluation_folder: Path
    """Where its tables and sounds lie, if there are any."""


def is_bundle(folder: Path) -> bool:
    """Whether `folder` is a model bundle standing alone (a run folder holds one in `model/`)."""
    return os.path.isfile(folder / CARD_FILE)  # Path.is_file raises where one may not look


def is_run(folder: Path) -> bool:
    """Whether `folder` is a run folder: a config that is no bundle's own."""
    return os.path.isfile(folder / CONFIG_FILE) and not is_bundle(folder)


def holds_recordings(folder: Path) -> bool:
    """Whether the model of a run or bundle at `folder` holds codes of its recordings (a bank)."""
    return any(
        os.path.isfile(model / "parts" / "prior" / "bank.safetensors")
        for model in (folder, folder / MODEL_FOLDER)
    )


def read_run(folder: Path, *, curves: bool = True, evaluated_in: Path | None = None) -> Run:
    """The run in `folder`, or the bundle; `curves=False` leaves metrics.csv unread.

    `evaluated_in` is the folder that its evaluation was written into, where it is not its own.
    What a run has not written yet is empty. Raises UserError where `folder` is neither, or names
    the file that cannot be read.
    """
    folder = Path(folder)
    if fault := folder_fault(folder):
        raise UserError(f"'{folder}': {fault}")
    name = folder.resolve().name
    evaluation = (evaluated_in or folder) / EVALUATION_FOLDER
    if is_bundle(folder):
        return Run(folder, name, {}, (), {}, {}, _json(folder / CARD_FILE), None, evaluation)
    if not is_run(folder):
        raise UserError(
            f"'{folder}' is no run folder (it has no {CONFIG_FILE}) and no model bundle "
            f"(it has no {CARD_FILE}); name one that timbrel train wrote"
        )
    metrics, card = folder / METRICS_FILE, folder / MODEL_FOLDER / CARD_FILE
    return Run(
        folder=folder,
        name=name,
        config=_yaml(folder / CONFIG_FILE, dict),
        overrides=tuple(str(text) for text in _optional_yaml(folder / OVERRIDES_FILE, list)),
        provenance=_optional_json(folder / "run.json"),
        curves=read_metrics(metrics) if curves and metrics.is_file() else {},
        card=_optional_json(card),
        evaluation=read_evaluation(evaluation),
        evaluation_folder=evaluation,
    )


def read_metrics(path: Path) -> Curves:
    """Curves by name: `(step, value)` pairs in order.

    A last line that a kill cut short is left out: without its end, a value lacks digits. Raises
    UserError where the file cannot be read.
    """
    text = _text(path)
    curves: Curves = {}
    try:
        for row in list(csv.reader(_lines(text[: text.rfind("\n") + 1])))[1:]:
            if len(row) == 3:
                curves.setdefault(row[1], []).append((int(row[0]), float(row[2])))
    except (ValueError, csv.Error) as error:
        raise UserError(f"'{path}' is damaged: {error}") from error
    return curves


def held_out_loss(curves: Curves) -> HeldOutLoss:
    """The held-out loss at every validation of the last phase: of it the best weights were kept.

    The whole curve where the training had no phases.
    """
    losses, phases = curves.get("validation/loss", []), curves.get("validation/phase", [])
    if phases:
        last = {step for step, phase in phases if phase == phases[-1][1]}
        losses = [point for point in losses if point[0] in last]
    if not (recordings := curves.get("validation/recordings")):
        return HeldOutLoss(losses)
    return HeldOutLoss(losses, int(recordings[-1][1]))


def read_evaluation(folder: Path) -> Evaluation | None:
    """The tables in `evaluation/`; None before there are any.

    Raises UserError where one cannot be read.
    """
    if not any((folder / f"{name}.csv").is_file() for name in _NUMBERS):
        return None
    tables = {name: read_table(folder / f"{name}.csv", _NUMBERS[name]) for name in _NUMBERS}
    for gate in tables["gates"]:
        gate["passed"] = _PASSED.get(gate.get("passed", ""))
    return Evaluation(**{name: tuple(rows) for name, rows in tables.items()})


def read_table(path: Path, numbers: tuple[str, ...]) -> list[dict[str, Any]]:
    """The rows of a table of `evaluation/`, with the columns `numbers` as floats; [] without it.

    Raises UserError where it cannot be read.
    """
    if not path.is_file():
        return []
    try:
        rows: list[dict[str, Any]] = list(csv.DictReader(_lines(_text(path))))
        for row in rows:
            for name in numbers:
                if name in row:
                    row[name] = float(row[name]) if row[name] else math.nan
    except (ValueError, csv.Error) as error:
        raise UserError(f"'{path}' is damaged: {error}; run timbrel evaluate again") from error
    return rows


def _text(path: Path) -> str:
    """File names that are no UTF-8 come through as surrogates, as everywhere in Python."""
    try:
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            return file.read()
    except OSError as error:
        raise UserError(f"'{path}' cannot be read: {error.strerror}") from error


def _lines(text: str) -> io.StringIO:
    # Not splitlines(): a file's name may hold one of the rarer line ends of Unicode.
    return io.StringIO(text, newline="")


def _yaml(path: Path, kind: type) -> Any:
    try:
        text = _text(path)
        # A byte of a folder's name that is no UTF-8 is written so, which the loader in C refuses.
        loader = yaml.SafeLoader if "\\uDC" in text else _YAML
        values = yaml.load(text, loader)
    except (yaml.YAMLError, ValueError) as error:  # the latter where it is no text
        reason = str(error).splitlines()[0]
        raise UserError(f"'{path}' is damaged: {reason}") from error
    if not isinstance(values, kind):
        raise UserError(f"'{path}' is damaged: not a YAML {'mapping' if kind is dict else 'list'}")
    return values


def _optional_yaml(path: Path, kind: type) -> Any:
    return _yaml(path, kind) if path.is_file() else kind()


def _json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(_text(path))
    except ValueError as error:
        raise UserError(f"'{path}' is damaged: {error}") from error
    if not isinstance(values, dict):
        raise UserError(f"'{path}' is damaged: not a JSON object")
    return values


def _optional_json(path: Path) -> dict[str, Any]:
    return _json(path) if path.is_file() else {}
