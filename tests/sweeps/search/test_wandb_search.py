"""A search's best trials as one W&B run, offline."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from run_folders import write_run
from sweeps.search.synthetic import goals, join, launch
from timbrel.sweeps.search.search import search
from timbrel.sweeps.search.wandb_search import log_search
from wandb_records import inspected, of_kind

LOGGER = {"kind": "wandb", "mode": "offline", "project": "timbrel", "group": None, "tags": []}


@pytest.mark.slow
def test_the_best_trials_are_rows_in_order_and_only_where_a_run_is_left(tmp_path: Path) -> None:
    wanted = goals(3)

    def trained(batch):
        folders = [write_run(tmp_path / str(drawn.number)) for drawn in batch]
        return [replace(e, folder=str(f)) for e, f in zip(launch(batch), folders, strict=True)]

    study = join(tmp_path / "journal.log")
    search(study, wanted, trained, lambda line: None)
    log_search(study, wanted, tmp_path, LOGGER, sounds=False)
    (run,) = (tmp_path / "wandb").glob("offline-run-*")
    records = inspected(run)
    assert of_kind(records, "run")[0]["job_type"] == "study"
    (path,) = (run / "files" / "media" / "table").glob("results_*.json")
    table = json.loads(path.read_text())
    assert table["columns"] == ["trial", "parameters", "validation/loss"]
    losses = sorted((trial.value, trial.number) for trial in study.trials)
    assert [(row[2], row[0]) for row in table["data"]] == losses

    gone = tmp_path / "gone"
    gone.mkdir()
    for number in range(3):
        (tmp_path / str(number)).rename(gone / f"was_{number}")
    log_search(study, wanted, gone, LOGGER, sounds=False)
    assert not (gone / "wandb").exists()
