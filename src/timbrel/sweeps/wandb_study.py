"""What a study found as one W&B run of its own: a table of its cells or trials with their sounds.

    results    a table: a row per cell or best trial, its numbers, and what its first run made of
               the first held-out sound, beside the original

Of the study's group, with `job_type` study. It follows the settings of the study's runs: none with
`logger=none`, no sounds where the runs log none, and nothing leaves the machine unless
`logger.mode=online`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import wandb

from timbrel.runs.folder import Run
from timbrel.sweeps.results import StudyResult
from timbrel.sweeps.study import short_names
from timbrel.training.wandb_analysis import kept_in
from timbrel.training.wandb_log import WandbSettings, start_run


@dataclass(frozen=True)
class Row:
    """A row of the table: its columns' values, and the run that is heard (None without one)."""

    values: Sequence[str | int | float | None]
    run: Run | None


def log_study(
    folder: Path,
    name: str,
    columns: Sequence[str],
    rows: Sequence[Row],
    logger: Mapping[str, Any],
    *,
    sounds: bool,
) -> None:
    """Log the table of the study called `name`, whose W&B run lies in `folder`.

    `logger` is that section of its runs' config.
    """
    if logger.get("kind") != "wandb":
        return
    settings = WandbSettings.of(logger, name=name, study=name, job_type="study")
    where = f"the results are complete without it, in {folder}"
    run = start_run(settings, folder, {"sweep": {"study": name}}, otherwise=where)
    run.send(lambda begun: _log(begun, folder, columns, rows, sounds))
    run.finish()


def study_table(result: StudyResult) -> tuple[list[str], list[Row]]:
    """Columns and rows of a grid: its axes, seeds, and each metric with its interval."""
    columns = [*short_names(list(result.study.axes)), "seeds", "min a run"]
    for metric in result.study.metrics:
        columns += [metric, f"{metric}_low", f"{metric}_high"]
    rows = []
    for cell in result.cells:
        values: list[str | float | None] = [str(value) for _, value in cell.cell.settings]
        values += [cell.seeds_text, _known(cell.seconds / 60)]
        for metric in result.study.metrics:
            score = cell.findings[metric].score
            found = (None,) * 3 if score is None else (score.value, score.low, score.high)
            values += [_known(value) for value in found]
        rows.append(Row(values, cell.runs[min(cell.runs)] if cell.runs else None))
    return columns, rows


def _log(
    run: wandb.Run, folder: Path, columns: Sequence[str], rows: Sequence[Row], sounds: bool
) -> None:
    heard = ["original", "sound"] if sounds else []
    data = [[*row.values, *(_sounds(row.run) if sounds else [])] for row in rows]
    with kept_in(folder / "wandb" / "data"):
        table = wandb.Table(columns=[*columns, *heard], data=data, allow_mixed_types=True)
        run.log({"results": table})


def _sounds(run: Run | None) -> list[wandb.Audio | None]:
    """The first sound that a run was scored on, and what it made of it; of the test part if any."""
    if run is None:
        return [None, None]
    for part in ("test", "validation"):
        folder = run.evaluation_folder / "audio" / part
        for original in sorted((folder / "reference").glob("*.wav")):
            made = folder / "reconstruction" / original.name
            if made.is_file():
                return [wandb.Audio(str(path), caption=path.stem) for path in (original, made)]
    return [None, None]


def _known(value: float | None) -> float | None:
    return None if value is None or value != value else float(value)
