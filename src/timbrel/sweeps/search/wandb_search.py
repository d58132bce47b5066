"""A search's best trials in a W&B run of its own, beside those of its trials."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna

from timbrel.errors import UserError
from timbrel.runs.folder import Run, read_run
from timbrel.sweeps.search.results import Tried, best, tried
from timbrel.sweeps.search.search import Goals


def log_search(
    study: optuna.Study, goals: Goals, folder: Path, logger: Mapping[str, Any], *, sounds: bool
) -> None:
    """Log the best trials (of several objectives the front), as `sweeps.wandb_study` does.

    Nothing where no run of theirs is left.
    """
    winners = best(tried(study, goals), goals.objectives)
    runs = [_run(trial) for trial in winners]
    if not any(runs):
        return
    from timbrel.sweeps.wandb_study import Row, log_study  # with torch, which takes seconds

    columns = ["trial", "parameters", *goals.numbers]
    rows = [
        Row([trial.number, trial.label, *map(trial.numbers.get, goals.numbers)], run)
        for trial, run in zip(winners, runs, strict=True)
    ]
    log_study(folder, study.study_name, columns, rows, logger, sounds=sounds)


def _run(trial: Tried) -> Run | None:
    try:
        return read_run(Path(trial.folder), curves=False)
    except UserError:
        return None  # moved or removed since
