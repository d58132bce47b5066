"""A study's W&B run, offline, read back by W&B's own reader."""

import json
from pathlib import Path
from typing import Any

import pytest

from run_folders import write_evaluation, write_run
from timbrel.runs.folder import read_run
from timbrel.sweeps.wandb_study import Row, log_study
from wandb_records import inspected, of_kind

LOGGER = {"kind": "wandb", "mode": "offline", "project": "timbrel", "group": None, "tags": ["a"]}
COLUMNS = ["dim", "mrstft"]


@pytest.fixture
def rows(tmp_path: Path) -> list[Row]:
    folder = write_run(tmp_path / "cell" / "seed0")
    write_evaluation(folder, {"mrstft": (1.0, 0.5, 2.0)}, audio=True, noise=0.1)
    return [Row(["8", 1.0], read_run(folder)), Row(["32", None], None)]


def logged(folder: Path) -> tuple[Any, dict[str, Path], Any]:
    """The records of a study's run, the files of its table's artifact, and the table itself."""
    (run,) = (folder / "wandb").glob("offline-run-*")
    records = inspected(run)
    (artifact,) = of_kind(records, "artifact")
    files = {item["path"]: Path(item["local_path"]) for item in artifact["manifest"]["contents"]}
    return records, files, json.loads(files["results.table.json"].read_text())


def test_one_run_has_a_row_per_cell_with_its_first_sound(tmp_path: Path, rows: list[Row]) -> None:
    log_study(tmp_path, "codes", COLUMNS, rows, LOGGER, sounds=True)
    records, files, table = logged(tmp_path)
    (begun,) = of_kind(records, "run")
    told = (begun["run_group"], begun["job_type"], begun["display_name"], begun["tags"])
    assert told == ("codes", "study", "codes", ["a"])
    assert begun["config"]["update"]["sweep.study"] == "codes"
    assert table["columns"] == [*COLUMNS, "original", "sound"]
    first, second = table["data"]
    assert first[:2] == ["8", 1.0]
    assert second == ["32", None, None, None]
    audio = tmp_path / "cell" / "seed0" / "evaluation" / "audio" / "test"
    for found, kind in zip(first[2:], ("reference", "reconstruction"), strict=True):
        assert found["caption"] == "000_kick"
        kept = files[found["path"]]
        assert kept.read_bytes() == (audio / kind / "000_kick.wav").read_bytes()
        assert kept.is_relative_to(tmp_path)


def test_it_follows_the_settings_of_the_runs(tmp_path: Path, rows: list[Row]) -> None:
    log_study(tmp_path, "codes", COLUMNS, rows, {**LOGGER, "kind": "none"}, sounds=True)
    assert not (tmp_path / "wandb").exists()
    log_study(tmp_path, "codes", COLUMNS, rows, LOGGER, sounds=False)
    _, files, table = logged(tmp_path)
    assert [*files] == ["results.table.json"]
    assert table["columns"] == COLUMNS
    assert table["data"] == [["8", 1.0], ["32", None]]
