"""`experiments/<name>/study.yaml`: a question, and the grid of trainings that answers it."""

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from timbrel.audio.names import fitted
from timbrel.config.choices import AnalysisProfile
from timbrel.errors import UserError, did_you_mean, override_text
from timbrel.metrics.analysis_scores import ANALYSIS_SCORES
from timbrel.metrics.scores import RUN_SCORES, SCORES
from timbrel.words import duration_s

STUDY_FILE = "study.yaml"
FOLDER = Path("experiments")
_MOST_LINES = 40
_LONGEST_CELL_BYTES = 200  # a folder's name takes 255: a number and the seed may follow
# What the runner sets itself, or what a run of a study cannot have.
_OWN_KEYS = {
    "seed": "seeds: [...] lists them",
    "name": "a run is named after its cell",
    "run": "unfinished runs are resumed by themselves",
    "reproduce": "timbrel train reproduce=FOLDER repeats one of its runs",
    "dry_run": "timbrel ablate study=NAME --plan shows the grid",
}
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")

Settings = tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Cell:
    """One combination of the axes' values."""

    # Values may be lists, which have no hash; the folder tells cells apart.
    settings: Settings = field(compare=False)
    """Keys and values, in the order of the axes."""
    folder: str
    """A name for its folder, unlike every other cell's."""

    @property
    def label(self) -> str:
        """As people read it: `architecture=rave latent_dim=8`."""
        names = short_names([key for key, _ in self.settings])
        pairs = zip(names, self.settings, strict=True)
        return " ".join(f"{name}={override_text(value)}" for name, (_, value) in pairs)


@dataclass(frozen=True)
class Study:
    """A study as its file says, checked as far as that is possible without composing it."""

    name: str
    file: Path
    question: str
    base: Mapping[str, Any]
    """Overrides of every run: key to value."""
    axes: Mapping[str, tuple[Any, ...]]
    seeds: tuple[int, ...]
    metrics: tuple[str, ...]
    budget_s: float | None
    """Of all runs together, in s; None where the file sets none."""
    analyze: str | None = None
    """The profile of `timbrel analyze` that follows every training; None without one."""

    def cells(self) -> list[Cell]:
        """The grid, the last axis fastest. The first cell is what the others are compared with."""
        names = short_names(list(self.axes))
        cells: list[Cell] = []
        for values in itertools.product(*self.axes.values()):
            words = (f"{n}-{override_text(v)}" for n, v in zip(names, values, strict=True))
            stem = re.sub(r"[^\w.-]+", "_", "_".join(words)).strip("_.")[:100]
            stem = fitted(stem, _LONGEST_CELL_BYTES)
            taken = {cell.folder for cell in cells}
            folder = next(
                name
                for number in itertools.count(1)
                if (name := stem if number == 1 else f"{stem}_{number}") not in taken
            )
            cells.append(Cell(tuple(zip(self.axes, values, strict=True)), folder))
        return cells


@dataclass(frozen=True)
class _File:
    """The keys of a study file."""

    question: str
    axes: dict[str, list[Any]]
    seeds: list[int]
    base: dict[str, Any]
    metrics: list[str]
    analyze: str | None
    budget: str | None


class _Loader(yaml.SafeLoader):
    """As YAML demands and PyYAML does not, a key twice is a mistake: the first would be lost."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping's values by its keys. Raises ConstructorError for a key that comes twice."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]  # type: ignore[no-untyped-call]
        for index, (key, (place, _)) in enumerate(zip(keys, node.value, strict=True)):
            if key in keys[:index]:
                raise yaml.constructor.ConstructorError(
                    None, None, f"'{key}' is there twice", place.start_mark
                )
        return super().construct_mapping(node, deep)


def short_names(keys: list[str]) -> list[str]:
    """The last word of each key where no other key has it, else the whole key.

    >>> short_names(["architecture.latent_dim", "latent.weights.kl", "loss.weights.kl"])
    ['latent_dim', 'latent.weights.kl', 'loss.weights.kl']
    """
    last = [key.rpartition(".")[2] for key in keys]
    return [word if last.count(word) == 1 else key for word, key in zip(last, keys, strict=True)]


def study_names() -> list[str]:
    """The studies of ./experiments and of timbrel itself."""
    found = {file.parent.name for root in _roots() for file in root.glob(f"*/{STUDY_FILE}")}
    return sorted(found)


def read_study(name: str) -> Study:
    """The study of that name, from ./experiments, else from timbrel's own.

    Raises UserError where there is none, and for everything in its file that cannot be meant.
    """
    if not _NAME.fullmatch(name):
        raise UserError(f"study={name}: a name of letters, digits, '_', '-' and '.'")
    files = [root / name / STUDY_FILE for root in _roots()]
    file = next((path for path in files if path.is_file()), None)
    if file is None:
        known = study_names()
        hint = did_you_mean(name, known) or (f"; there are: {', '.join(known)}" if known else "")
        raise UserError(f"study={name}: no {FOLDER / name / STUDY_FILE}{hint}")
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"'{file}' cannot be read as UTF-8 text: {error}") from error
    if len(text.splitlines()) >= _MOST_LINES:
        raise UserError(
            f"'{file}': {len(text.splitlines())} lines; a study is a delta of under {_MOST_LINES}: "
            "what its runs share can be conf/experiment/NAME.yaml and base: {experiment: NAME}"
        )
    try:
        content = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise UserError(f"'{file}' is not YAML: {reason}") from error
    return _study(name, file, content)


def _roots() -> list[Path]:
    package = Path(__file__).resolve().parents[1]
    return [FOLDER, package / FOLDER, package.parents[1] / FOLDER]


def _study(name: str, file: Path, content: Any) -> Study:
    where = f"'{file}'"
    keys = [item.name for item in fields(_File)]
    if not isinstance(content, dict):
        raise UserError(f"{where}: expected keys {', '.join(keys)}")
    for key in content:
        if key not in keys:
            raise UserError(
                f"{where}: {key}: no such key ({', '.join(keys)}){did_you_mean(str(key), keys)}"
            )
    for key in ("question", "axes", "seeds"):
        if not content.get(key):
            raise UserError(f"{where}: {key}: not set; a study needs a question, axes and seeds")
    question = content["question"]
    if not isinstance(question, str):
        raise UserError(f"{where}: question: expected text")
    axes = _axes(where, content["axes"])
    profile = _analyze(where, content.get("analyze"))
    base = content.get("base") or {}
    _check_keys(where, "base", base)
    for key in base:
        if key in axes:
            raise UserError(f"{where}: base: {key}: an axis too; keep one of them")
    return Study(
        name=name,
        file=file,
        question=" ".join(question.split()),
        base=base,
        axes=axes,
        seeds=_seeds(where, content["seeds"]),
        metrics=_metrics(where, content.get("metrics"), analyzed=profile is not None),
        budget_s=_budget_s(where, content.get("budget")),
        analyze=profile,
    )


def _check_keys(where: str, section: str, values: Any) -> None:
    if not isinstance(values, dict):
        raise UserError(f"{where}: {section}: expected KEY: VALUE pairs, keys as on a command line")
    for key, value in values.items():
        if key in _OWN_KEYS:
            raise UserError(f"{where}: {section}: {key}: not here; {_OWN_KEYS[key]}")
        if not isinstance(key, str) or re.match(r"hydra\b", key):
            raise UserError(f"{where}: {section}: {key}: no key of timbrel train")
        if isinstance(value, dict):
            inner = next(iter(value), "key")
            raise UserError(
                f"{where}: {section}: {key}: write dotted keys, such as '{key}.{inner}: ...'"
            )


def _axes(where: str, axes: Any) -> dict[str, tuple[Any, ...]]:
    _check_keys(where, "axes", axes)
    for key, values in axes.items():
        if not isinstance(values, list) or not values:
            raise UserError(f"{where}: axes: {key}: expected a list of values, such as [8, 32]")
        for index, value in enumerate(values):
            if isinstance(value, dict):
                raise UserError(f"{where}: axes: {key}: a value cannot be a mapping")
            if value in values[:index]:
                raise UserError(f"{where}: axes: {key}: {override_text(value)} is there twice")
    return {key: tuple(values) for key, values in axes.items()}


def _seeds(where: str, seeds: Any) -> tuple[int, ...]:
    if not isinstance(seeds, list) or not all(type(seed) is int and seed >= 0 for seed in seeds):
        raise UserError(f"{where}: seeds: expected whole numbers from 0, such as [0, 1, 2]")
    if len(set(seeds)) < len(seeds):
        raise UserError(f"{where}: seeds: one is there twice")
    return tuple(seeds)


def _metrics(where: str, metrics: Any, *, analyzed: bool) -> tuple[str, ...]:
    if metrics is None:
        return tuple(SCORES)
    known = (*SCORES, *RUN_SCORES, *ANALYSIS_SCORES)
    if not isinstance(metrics, list) or not metrics:
        raise UserError(f"{where}: metrics: expected a list of {', '.join(known)}")
    for metric in metrics:
        if metric not in known:
            hint = did_you_mean(str(metric), known)
            raise UserError(f"{where}: metrics: no score '{metric}' ({', '.join(known)}){hint}")
        if metric in ANALYSIS_SCORES and not analyzed:
            raise UserError(
                f"{where}: metrics: {metric}: of the analysis, which this plan does not ask for; "
                "add the key 'analyze: quick' (or full)"
            )
    return tuple(dict.fromkeys(metrics))


def _analyze(where: str, profile: Any) -> str | None:
    known = [str(name) for name in AnalysisProfile]
    if profile is None or profile in known:
        return profile  # type: ignore[no-any-return]
    hint = did_you_mean(str(profile), known)
    raise UserError(f"{where}: analyze: {profile}: {' or '.join(known)}, or leave it out{hint}")


def _budget_s(where: str, budget: Any) -> float | None:
    if budget is None:
        return None
    try:
        return duration_s(str(budget))
    except UserError as error:
        raise UserError(f"{where}: budget: {error}") from error
