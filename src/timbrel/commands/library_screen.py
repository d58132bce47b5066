"""`timbrel library show`: all about one run or model that fits one screen."""

import dataclasses
import math
import shlex
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import yaml

from timbrel.commands.terminal import count
from timbrel.config.options import conf_folder
from timbrel.config.stage_schemas import STAGES
from timbrel.errors import override_text
from timbrel.metrics.scores import SCORES
from timbrel.runs.finder import Entry, summarise
from timbrel.runs.folder import MODEL_FOLDER, Run, held_out_loss, holds_recordings, read_run
from timbrel.words import duration, printable

_SCHEMA_SECTIONS = ("data", "trainer", "device")
_MOST_DIFFERENCES = 12
_GATE = {True: "ok  ", False: "FAIL", None: "?   "}
_FILES = {
    "report.html": "the run on one page",
    "evaluation": "scores per file, gates",
    "audio": "held-out sounds and reconstructions",
    "metrics.csv": "curves",
    "model": "the model, all that generate needs",
    "last.ckpt": "to resume from",
}


def screen(path: Path) -> str:
    """The screen of the run folder or bundle at `path`.

    Raises UserError where a file of it cannot be read.
    """
    entry, run = summarise(path), read_run(path)
    blocks = [
        [f"{printable(run.name)}   ({entry.status})", f"  {printable(str(path))}"],
        _about(entry, run),
        _given(run),
        _scores(run),
        _gates(run),
        _files(run, entry.kind),
        _go_on(run, entry),
    ]
    return "\n\n".join("\n".join(lines) for lines in blocks if lines) + "\n"


def _about(entry: Entry, run: Run) -> list[str]:
    card, seed = run.card, run.provenance.get("seed", run.card.get("seed"))
    trained: dict[str, Any] = card.get("trained_on") or {}
    data = entry.data or "unknown"
    if trained:
        data += f": {trained.get('files')} files, {trained.get('duration_s', 0):.1f} s to train on"
    digest = str(run.provenance.get("data_hash") or card.get("data_hash") or "")[:8]
    width = _latent_dim(run)
    latent = f"{entry.latent or 'unknown'}" + (f", {width} per frame" if width else "")
    training = [f"{entry.steps} steps" if entry.steps else "no step logged"]
    if entry.elapsed_s is not None:
        training.append(duration(entry.elapsed_s))
    training += [f"limit {entry.time_limit}"] if entry.time_limit else []
    held_out = held_out_loss(run.curves)
    if found := held_out.kept():
        step, best = found
        training.append(
            f"best held-out loss {best:.3f} at step {step}, last {held_out.points[-1][1]:.3f}"
        )
    version = run.provenance.get("versions", {}).get("timbrel", card.get("timbrel_version"))
    revision = str(run.provenance.get("git_revision") or "")
    changed = " with changes" if revision.endswith("+changes") else ""
    by = [f"timbrel {version}" if version else "", f"revision {revision[:8]}{changed}"]
    by = [by[0], by[1] if revision else "", f"seed {seed}" if seed is not None else ""]
    facts = {
        "when": f"{entry.when:%Y-%m-%d %H:%M}",
        "data": data + (f" (hash {digest})" if digest else ""),
        "model": f"{entry.architecture or 'unknown'}, {count(entry.parameters)} parameters",
        "latent": latent,
        "training": ", ".join(training) if entry.kind == "run" else "",
        "made by": ", ".join(text for text in by if text),
        "parent": str(card.get("parent") or ("none" if card else "")),
        "own parts": _foreign(card.get("foreign")),
        "holds": (
            "codes of its recordings: who has the model can hear them (prior.bank=false: without)"
            if holds_recordings(run.folder)
            else ""
        ),
        "licence": str(card.get("licence") or ""),
    }
    return [f"  {name:<10}{value}" for name, value in facts.items() if value]


def _foreign(names: Any) -> str:
    """The parts outside timbrel that a card names."""
    found = names if isinstance(names, list) else []
    return ", ".join(map(str, found)) + (" (opens with trust=true)" if found else "")


def _latent_dim(run: Run) -> int | None:
    node = run.config.get("architecture")
    return node.get("latent_dim") if isinstance(node, dict) else None


def _given(run: Run) -> list[str]:
    """The overrides of the run, and the keys whose values are not the defaults of today."""
    if not run.config:
        return []
    words = " ".join(run.overrides) or "(nothing: the defaults)"
    lines = ["Asked for", f"  timbrel train {words}" if run.overrides else f"  {words}"]
    differences = list(differing(run.config))
    if differences:
        lines += ["Differs from the defaults"]
        lines += [
            f"  {key} = {_told(value)}   (default {_told(default)})"
            for key, value, default in differences[:_MOST_DIFFERENCES]
        ]
        more = len(differences) - _MOST_DIFFERENCES
        lines += [f"  and {more} more; all in config.yaml"] if more > 0 else []
    return lines


def differing(config: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Keys of the typed sections whose values are not the defaults: key, value, default.

    The defaults of the schema, and of `conf/trainer/default.yaml` over them. The pluggable parts
    (architecture, latent, loss, augmentation) are shown as the options chosen.
    """
    schema = STAGES["train"].schema()
    trainer = yaml.safe_load((conf_folder() / "trainer" / "default.yaml").read_text("utf-8"))
    for section in _SCHEMA_SECTIONS:
        defaults = dataclasses.asdict(getattr(schema, section))
        if section == "trainer":
            defaults |= trainer or {}
        for key, value in (config.get(section) or {}).items():
            default = defaults.get(key)
            default = default.value if isinstance(default, Enum) else default
            if value != default and key not in ("name", "cache_dir"):
                yield f"{section}.{key}", value, default
    if config.get("seed", schema.seed) != schema.seed:
        yield "seed", config["seed"], schema.seed


def _told(value: Any) -> str:
    return "none: yours to give" if value == "???" else override_text(value)


def _scores(run: Run) -> list[str]:
    part = _part(run)
    if part is None:
        metrics = run.card.get("metrics") or {}
        known = [
            f"  {score.heading:<22}{metrics[f'test_{name}']:.3f}"
            for name, score in SCORES.items()
            if f"test_{name}" in metrics
        ]
        note = ["  (means over the test files; timbrel evaluate gives intervals and controls)"]
        return ["Scores", *known, *note] if known else []
    evaluation = run.evaluation
    rows = evaluation.summary if evaluation else ()
    table = {(r["system"], r["metric"]): r for r in rows if r["part"] == part}
    systems = [s for s in ("model", "silence", "noise") if any(key[0] == s for key in table)]
    files = max((row["files"] for row in table.values()), default=math.nan)
    lines = [f"Scores on the {part} files ({files:.0f}; mean and 95 % interval over files)"]
    lines.append("  " + " " * 22 + "".join(f"{system:<28}" for system in systems).rstrip())
    for metric in dict.fromkeys(key[1] for key in table):
        heading = SCORES[metric].heading if metric in SCORES else metric.replace("_", " ")
        cells = []
        for system in systems:
            row = table.get((system, metric))
            known = row is not None and math.isfinite(row["mean"])
            cells.append(
                f"{row['mean']:.3f} [{row['low']:.3f}, {row['high']:.3f}]" if row and known else "-"
            )
        lines.append("  " + f"{heading:<22}" + "".join(f"{cell:<28}" for cell in cells).rstrip())
    return lines


def _part(run: Run) -> str | None:
    """The part whose scores say most: test where there is one."""
    if run.evaluation is None:
        return None
    parts = {row["part"] for row in run.evaluation.summary}
    return next((part for part in ("test", "validation", "train") if part in parts), None)


def _gates(run: Run) -> list[str]:
    if run.evaluation is None or not run.evaluation.gates:
        return []
    return [
        "Gates",
        *(
            f"  {_GATE[gate['passed']]}  {gate['gate']}: {gate['meaning']}".rstrip(": ")
            for gate in run.evaluation.gates
        ),
    ]


def _files(run: Run, kind: str) -> list[str]:
    if kind == "bundle":
        return []
    there = [name for name in _FILES if (run.folder / name).exists()]
    return ["Files", *(f"  {name:<14}{_FILES[name]}" for name in there)]


def _go_on(run: Run, entry: Entry) -> list[str]:
    folder = shlex.quote(str(run.folder))
    commands = []
    if entry.kind == "run" and entry.status == "unfinished":
        commands.append(f"timbrel train run={folder}    # go on, if nothing trains it now")
    if entry.kind == "bundle" or (run.folder / MODEL_FOLDER).is_dir():
        commands.append(f"timbrel generate model={folder}")
    if entry.kind == "run" and entry.status == "finished":
        again = "" if run.evaluation is None else "    # again"
        commands.append(f"timbrel evaluate run={folder}{again}")
    return ["Go on", *(f"  {command}" for command in commands)] if commands else []
