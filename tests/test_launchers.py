"""Sweeps and searches of real trainings by launchers that run jobs in processes of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from launchers import needs_launcher
from stages.training_jobs import TINY
from test_optuna_sweeper import RATE, SEARCH, study
from timbrel.runs.folder import read_metrics

pytestmark = pytest.mark.slow

LAUNCHERS = ["submitit_local", "ray"]
OWN = """
import sys
from lightning.pytorch import Callback

class Mine(Callback):
    def on_train_end(self, trainer, module):
        open("mine.txt", "a").write(f"{module.step}\\n")
"""


@pytest.fixture(params=LAUNCHERS)
def launcher(request: pytest.FixtureRequest) -> str:
    needs_launcher(request.param)
    return f"hydra/launcher={request.param}"


def timbrel(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "timbrel", "train", "--multirun", *TINY, *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=280,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


@pytest.mark.timeout(300)
def test_a_sweep_with_places_and_parts_of_the_working_folder(
    launcher: str, recordings: Path, tmp_path: Path
) -> None:
    """Two jobs train, with a callback that lies here; the third is refused, with its reason."""
    (tmp_path / "sounds").symlink_to(recordings)
    (tmp_path / "mine.py").write_text(OWN)
    words = ["data.root=sounds", "+callbacks.mine._target_=mine.Mine", "trainer.max_steps=3"]
    done = timbrel(
        tmp_path, launcher, *words, "trainer.learning_rate=1e-3,1e-4,-1", "hydra.sweep.dir=here"
    )
    assert done.returncode == 2, done.stderr
    assert "trainer.learning_rate=-1.0: above 0" in done.stderr
    assert "Traceback" not in done.stderr
    assert "sage stats collection is enabled" not in done.stdout + done.stderr  # Ray's
    for number in "01":
        curve = read_metrics(tmp_path / "here" / number / "metrics.csv")["train/loss"]
        assert [step for step, _ in curve] == [1, 2, 3]
        assert (tmp_path / "here" / number / "model").is_dir()
    assert (tmp_path / "mine.txt").read_text() == "3\n3\n"


@pytest.mark.timeout(300)
def test_a_search_whose_trials_are_pruned(launcher: str, recordings: Path, tmp_path: Path) -> None:
    """Trials report every validation to the study, from the launcher's own processes."""
    search = [word for word in SEARCH if word != "--multirun"]
    words = [*search, "data=folder", f"data.root={recordings}", "trainer.max_steps=14", RATE]
    words += ["hydra/sweeper/pruner=median", "hydra.sweeper.pruner.n_startup_trials=1"]
    done = timbrel(tmp_path, *words, launcher, "hydra.sweeper.n_trials=2", "hydra.sweeper.n_jobs=2")
    assert done.returncode == 0, done.stderr
    trials = study(tmp_path / "sweeps" / "s").trials
    assert [trial.number for trial in trials] == [0, 1]
    assert all({7, 14} >= trial.intermediate_values.keys() > set() for trial in trials)
    assert (tmp_path / "sweeps" / "s" / "report.html").is_file()
