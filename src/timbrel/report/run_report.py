"""The page of one run: what it is, how good, what it sounds like, how it went, how to repeat it."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from timbrel.config.stage_schemas import STAGES
from timbrel.config.walk import leaves
from timbrel.errors import override_text
from timbrel.metrics.scores import SCORES
from timbrel.report.page import number, render_page, write_page
from timbrel.report.run_curves import curve_groups
from timbrel.report.run_generated import invented
from timbrel.report.run_listening import development, listening
from timbrel.report.run_map import sound_map
from timbrel.report.run_responses import heat_maps
from timbrel.report.run_scores import holds, scale, scores, verdict
from timbrel.report.run_sliders import HEADINGS, sliders
from timbrel.report.run_warnings import command, finished, reported_part, warnings_of
from timbrel.runs.folder import Run, read_run
from timbrel.words import duration

REPORT_FILE = "report.html"
_MOST_LISTED = 1000


@dataclass(frozen=True)
class Setting:
    """One key of the config; `changed` where the command line named it or its section."""

    key: str
    value: str
    changed: bool


@dataclass(frozen=True)
class Section:
    """A part of the config."""

    name: str
    settings: tuple[Setting, ...]

    @property
    def changed(self) -> int:
        """How many keys differ from the defaults."""
        return sum(setting.changed for setting in self.settings)


def write_run_report(folder: Path, output: Path | None = None) -> Path:
    """Write `report.html` into the run folder, from what lies in it alone, and return its path.

    With `output`, the page and the evaluation it shows are there, and nothing else.
    A run that is not finished or not evaluated has a page too, which says what is missing and how
    to get it. Raises UserError where `folder` is no run folder, or a file of it cannot be read.
    """
    folder = Path(folder)
    run = read_run(folder, evaluated_in=output)
    path = (output or folder) / REPORT_FILE
    write_page(path, render_page("run.html.j2", **_values(run)))
    return path


def _values(run: Run) -> dict[str, Any]:
    pairs, said_of_pairs = listening(run)
    clip, stages = development(run)
    gates = run.evaluation.gates if run.evaluation else ()
    return {
        "kind": "training run",
        "title": run.card.get("name") or run.config.get("name") or run.name,
        "folder": str(run.folder),
        "warnings": warnings_of(run),
        "paragraph": _paragraph(run),
        "scale": scale(run),
        "scores": scores(run),
        "part": reported_part(run),
        "gates": gates,
        "pairs": pairs,
        "said_of_pairs": said_of_pairs,
        "clip": clip,
        "stages": stages,
        "invented": invented(run),
        "sliders": sliders(run),
        "slider_headings": HEADINGS,
        "heat_maps": heat_maps(run),
        "map": sound_map(run),
        "analyze": command("timbrel", "analyze", f"run={run.folder}"),
        "groups": curve_groups(run),
        "files": _files(run),
        "score_headings": [SCORES[name].heading for name in _file_scores(run)],
        "sections": config_sections(run.config, run.overrides),
        "overrides": run.overrides,
        "facts": list(_facts(run)),
        "commands": _commands(run),
        "evaluate": command("timbrel", "evaluate", f"run={run.folder}"),
        "contents": [
            ("what", "What this is"),
            ("scores", "Scores"),
            ("listening", "Listening"),
            ("invented", "What it invents"),
            ("sliders", "Sliders"),
            ("map", "Map of sounds"),
            ("curves", "Training curves"),
            ("files", "File by file"),
            ("config", "Settings"),
            ("provenance", "Versions and origin"),
            ("again", "Repeat and generate"),
        ],
    }


def _paragraph(run: Run) -> str:
    data = run.config.get("data") or {}
    trained_on = run.card.get("trained_on") or {}
    kind = "A model" if finished(run) else "A model in the making"
    what = f"{kind} of “{data.get('name') or 'unnamed recordings'}”"
    if trained_on:
        files = trained_on.get("files")
        what += f", learned from {files} recording{'s' if files != 1 else ''}"
        what += f" ({duration(trained_on.get('duration_s'))} in all)"
    steps = [step for points in run.curves.values() for step, _ in points]
    if steps:
        what += f" in {max(steps):,} steps"
    limit = (run.config.get("trainer") or {}).get("max_time")
    if limit:
        what += f", with a time limit of {limit}"
    rate = data.get("sample_rate_hz")
    channels = {1: "mono", 2: "stereo"}.get(data.get("channels"), "")
    sound = (
        f" It works at {rate / 1000:g} kHz{', ' + channels if channels else ''}." if rate else ""
    )
    good = verdict(run) or "The model has not been scored yet."
    return f"{what}.{sound} {good} {holds(run)}".rstrip()


def _file_scores(run: Run) -> list[str]:
    """The scores that a file has: width has none in mono."""
    rows = run.evaluation.files if run.evaluation else ()
    return [n for n in SCORES if any(math.isfinite(row.get(n, math.nan)) for row in rows)]


def _files(run: Run) -> list[dict[str, Any]]:
    """The model's scores per file, the reported part first, each part from best to worst."""
    if run.evaluation is None:
        return []
    order = {"test": 0, "validation": 1, "train": 2}
    rows = [row for row in run.evaluation.files if row["system"] == "model"]
    rows.sort(key=lambda row: (order.get(row["part"], 3), row["mrstft"]))
    names = _file_scores(run)
    return [
        {
            "part": row["part"],
            "file": row["file"],
            "cells": [duration(row["seconds"]), *(number(row.get(name)) for name in names)],
        }
        for row in rows[:_MOST_LISTED]
    ]


def config_sections(config: Mapping[str, Any], overrides: tuple[str, ...]) -> list[Section]:
    """The config by section, plain keys first; `changed` follows from the overrides.

    An override `latent=beta_vae` changes the section, `seed=1` and `data.root=x` one key.
    """
    given = {text.split("=", 1)[0].lstrip("+~").split("@")[0] for text in overrides}
    general: list[Setting] = []
    sections = []
    for name, value in config.items():
        settings = [
            Setting(
                key, override_text(leaf), any(key == g or key.startswith(f"{g}.") for g in given)
            )
            for key, leaf in leaves(value, name)
        ]
        if isinstance(value, dict):
            sections.append(Section(name, tuple(settings)))
        else:
            general.extend(settings)
    return [Section("general", tuple(general)), *sections] if general else sections


def _facts(run: Run) -> Iterator[tuple[str, str]]:
    told = run.provenance
    if told.get("command"):
        yield "command", command(*_repeated(run))
    yield "folder", str(run.folder)
    names = {
        "git_revision": "revision",
        "data_hash": "data hash",
        "seed": "seed",
        "python": "Python",
        "platform": "platform",
    }
    for key, words in names.items():
        if told.get(key) is not None:
            yield words, str(told[key])
    for key, words in (("model_hash", "model hash"), ("parent", "parent"), ("licence", "licence")):
        if run.card.get(key):
            yield words, str(run.card[key])
    versions = told.get("versions") or {}
    if versions:
        yield "versions", ", ".join(f"{name} {value}" for name, value in versions.items())


def _repeated(run: Run) -> list[str]:
    """The command line of the run; the stage is put in where it was not recorded.

    Its overrides are those of overrides.yaml, whose paths mean the same in every working folder.
    """
    told = {text.partition("=")[0]: text for text in run.overrides}
    words = [str(word) for word in run.provenance.get("command") or ()]
    words = [told.get(word.partition("=")[0], word) for word in words]
    if not words:
        words = ["timbrel", *run.overrides]
    stage = [] if len(words) > 1 and words[1] in STAGES else ["train"]
    return [words[0], *stage, *words[1:]]


def _commands(run: Run) -> list[tuple[str, str]]:
    model = f"model={run.folder}"
    commands = [("Train it again", command(*_repeated(run)))]
    if not finished(run):
        return [("Go on training", command("timbrel", "train", f"run={run.folder}")), *commands]
    return [
        ("Generate a sound", command("timbrel", "generate", model, "seconds=4", "seed=1")),
        (
            "Send a recording of yours through the model",
            command("timbrel", "generate", model, "source=file", "input=kick.wav"),
        ),
        ("Score it again", command("timbrel", "evaluate", f"run={run.folder}")),
        *commands,
    ]
