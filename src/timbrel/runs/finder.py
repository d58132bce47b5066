"""The catalogue: runs and bundles found in folders, each summarised in one row.

Reads files only, and of metrics.csv only the end: so that hundreds of runs are listed quickly.
"""

import csv
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from timbrel.errors import UserError, did_you_mean, folder_fault
from timbrel.paths import user_path
from timbrel.runs.folder import (
    CARD_FILE,
    CONFIG_FILE,
    METRICS_FILE,
    MODEL_FOLDER,
    Run,
    is_bundle,
    is_run,
    read_run,
)
from timbrel.runs.summary import (
    ELAPSED,
    Score,
    choice,
    parameter_count,
    scores_of,
)

FOLDERS = (Path("outputs"), Path("sweeps"))
_DEPTH = 4
_NO_RUNS_INSIDE = frozenset(["wandb", "audio", "evaluation", "generated", "node_modules"])
_TIME = re.compile(r"\d{4}-\d\d-\d\d_\d{6}")
_TAIL_BYTES = 8192


@dataclass(frozen=True)
class Entry:
    """One run or bundle. None where nothing is known."""

    run: Run
    """Without its curves."""
    kind: str
    """`run` or `bundle`."""
    when: datetime
    data: str | None
    architecture: str | None
    latent: str | None
    steps: int | None
    elapsed_s: float | None
    time_limit: str | None
    """`trainer.max_time` as it was given."""
    scores: dict[str, Score]
    """Of the test files, by metric."""
    parameters: int | None
    status: str
    """`finished`, `unfinished` (killed or still training: a folder cannot tell), or `bundle`."""


def find(folders: Sequence[Path], *, depth: int = _DEPTH) -> list[Path]:
    """Run folders and lone bundles in `folders`, themselves included, to `depth` below them."""
    return [path for folder in folders for path in _walk(folder, depth)]


def summarise(path: Path) -> Entry:
    """The row of one run or bundle. Raises UserError where a file of it cannot be read."""
    run = read_run(path, curves=False)
    bundle = is_bundle(path)
    model = path if bundle else path / MODEL_FOLDER
    last = _last_rows(path / METRICS_FILE)
    finished = bool(run.card)
    data: Any = run.config.get("data")
    trainer: Any = run.config.get("trainer")
    return Entry(
        run=run,
        kind="bundle" if bundle else "run",
        when=_when(path, bundle),
        data=_data_name(run, data),
        architecture=choice(run, "architecture"),
        latent=choice(run, "latent"),
        steps=max((step for step, _, _ in last), default=None),
        elapsed_s=next((value for _, name, value in reversed(last) if name == ELAPSED), None),
        time_limit=trainer.get("max_time") if isinstance(trainer, dict) else None,
        scores=scores_of(run),
        parameters=parameter_count(run, model),
        status="bundle" if bundle else "finished" if finished else "unfinished",
    )


def locate(text: str) -> Path:
    """The run folder or bundle that `text` names: a path, or a run's name or a part of it.

    A bundle inside a run folder stands for its run. Raises UserError where there is none, or
    more than one.
    """
    path = user_path(text) if text else Path()
    if os.path.isdir(path):
        if fault := folder_fault(path):
            raise UserError(f"'{text}': {fault}")
        inside = path.resolve().parent
        if path.resolve().name == MODEL_FOLDER and is_bundle(path) and is_run(inside):
            return path.parent if path.name == MODEL_FOLDER else inside
        if is_run(path) or is_bundle(path):
            return path
    found = find([folder for folder in FOLDERS if folder.is_dir()])
    if os.path.isdir(path):
        inner = find([path])
        if inner:
            several = "\n  ".join(str(run) for run in inner[:5])
            raise UserError(f"'{text}' is no run folder itself; it holds\n  {several}")
        read_run(path)  # says what is missing
    matches = [run for run in found if run.name == text] or [r for r in found if text in str(r)]
    if len(matches) == 1 and text:
        return matches[0]
    if matches and text:
        several = "\n  ".join(str(run) for run in matches[:5])
        more = f"\n  and {len(matches) - 5} more" if len(matches) > 5 else ""
        raise UserError(f"'{text}' names {len(matches)} runs; say which:\n  {several}{more}")
    hint = did_you_mean(text, [*map(str, found), *(run.name for run in found)])
    raise UserError(f"'{text}': no such run or bundle{hint or ' (timbrel library list)'}")


def _walk(folder: Path, depth: int) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            inside = sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return
    names = {entry.name for entry in inside}
    if CARD_FILE in names or CONFIG_FILE in names:
        yield folder
        return
    if depth == 0:
        return
    for entry in inside:
        skip = entry.name in _NO_RUNS_INSIDE or entry.name.startswith(".")
        if not skip and entry.is_dir(follow_symlinks=False):
            yield from _walk(folder / entry.name, depth - 1)


def _when(path: Path, bundle: bool) -> datetime:
    """From the folder's name or its sweep's; else from the file that was written last."""
    for name in (path.resolve().name, path.resolve().parent.name):
        match = _TIME.match(name)
        if match and not bundle:
            try:
                return datetime.strptime(match[0], "%Y-%m-%d_%H%M%S")
            except ValueError:
                break
    file = path / (CARD_FILE if bundle else CONFIG_FILE)
    return datetime.fromtimestamp(file.stat().st_mtime)


def _data_name(run: Run, data: Any) -> str | None:
    if isinstance(data, dict) and data.get("name"):
        return str(data["name"])
    names = (run.card.get("trained_on") or {}).get("names") or ()
    return ", ".join(map(str, names)) or None


def _last_rows(path: Path) -> list[tuple[int, str, float]]:
    """The rows at the end of metrics.csv, oldest first; lines that a kill cut short left out."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            tail = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    rows = []
    for row in csv.reader(tail[: tail.rfind("\n") + 1].split("\n")[1:]):
        try:
            rows.append((int(row[0]), row[1], float(row[2])))
        except (ValueError, IndexError):
            continue
    return rows
