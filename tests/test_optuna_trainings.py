"""Searches of real trainings: pruned, failed, on several processes, killed and gone on with."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
from optuna.trial import TrialState

from report_pages import Page
from stages.training_jobs import TINY, lean
from test_optuna_sweeper import RATE, SEARCH, study
from timbrel.report.run_warnings import warnings_of
from timbrel.runs.comparison import cautions
from timbrel.runs.folder import read_run
from timbrel.stages import train


def test_real_trainings_one_of_them_pruned_one_impossible(
    recordings: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    """The defaults, a rate of nearly nothing that is pruned, and one that is refused."""
    monkeypatch.chdir(tmp_path)
    lean(monkeypatch)
    tiny = [text for text in TINY if not text.startswith("trainer.max_steps")]
    words = [*SEARCH, *tiny, "data=folder", f"data.root={recordings}", "trainer.max_steps=8"]
    words += ["hydra/sweeper/pruner=median", "hydra.sweeper.pruner.n_startup_trials=1"]
    words += ["hydra/sweeper/sampler=random", "hydra.sweeper.sampler.seed=3"]
    words += ["trainer.learning_rate=choice(0.001,1e-9,-1)", "hydra.sweeper.n_trials=4"]
    words += ["hydra.sweeper.objectives=[validation/mrstft]"]
    assert train.main(words) == 0
    trials = study().trials
    ended = {(trial.params["trainer.learning_rate"], trial.state) for trial in trials}
    assert ended == {
        ("0.001", TrialState.COMPLETE),
        ("1e-09", TrialState.PRUNED),
        ("-1", TrialState.FAIL),
    }
    first = trials[0]
    with Path("sweeps/s/0/evaluation/summary.csv").open(newline="") as file:
        means = {
            (row["part"], row["system"], row["metric"]): row["mean"] for row in csv.DictReader(file)
        }
    assert first.value == pytest.approx(float(means["validation", "model", "mrstft"]), rel=1e-6)
    pruned = next(trial for trial in trials if trial.state == TrialState.PRUNED)
    folder = Path("sweeps/s", str(pruned.number))
    assert json.loads((folder / "run.json").read_text())["status"] == "pruned at step 7"
    run = read_run(folder)
    assert not run.card
    assert [notice.heading for notice in warnings_of(run)].count("Pruned.") == 1
    assert [c.heading for c in cautions([run, run], "AB")].count("Pruned") == 2
    page = Page(Path("sweeps/s/report.html").read_text())
    assert len(page.players) == 2
    for words in ("pruned at step 7", "trainer.learning_rate=-1.0: above 0", "defaults)"):
        assert words in page.words
    assert train.main([f"reproduce={folder}"]) == 2
    assert "gave it up (pruned at step 7), so there is nothing to comp" in capsys.readouterr().err


@pytest.mark.slow
def test_jobs_of_joblib_report_to_the_same_study(recordings: Path, tmp_path: Path) -> None:
    words = [*SEARCH, *TINY, "data=folder", f"data.root={recordings}", "trainer.max_steps=8"]
    words += ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "hydra.sweeper.n_jobs=2"]
    words += ["hydra/sweeper/pruner=median", "hydra.sweeper.pruner.n_startup_trials=1", RATE]
    command = [sys.executable, "-m", "timbrel", "train", *words, "hydra.sweeper.n_trials=4"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=300)
    trials = study(tmp_path / "sweeps" / "s").trials
    assert [trial.number for trial in trials] == [0, 1, 2, 3]
    assert all(trial.intermediate_values for trial in trials)
    assert {trial.state for trial in trials} <= {TrialState.COMPLETE, TrialState.PRUNED}


@pytest.mark.slow
def test_killed_in_a_training_and_resumed(recordings: Path, tmp_path: Path) -> None:
    words = [*SEARCH, *TINY, "data=folder", f"data.root={recordings}", RATE]
    command = [sys.executable, "-m", "timbrel", "train", *words, "hydra.sweeper.n_trials=3"]
    journal = tmp_path / "sweeps" / "s" / "1" / "metrics.csv"
    process = subprocess.Popen([*command, "trainer.max_steps=40"], cwd=tmp_path)
    while not journal.exists():
        assert process.poll() is None
    process.kill()
    process.wait()
    subprocess.run([*command, "trainer.max_steps=40"], cwd=tmp_path, check=True, timeout=300)
    trials = study(tmp_path / "sweeps" / "s").trials
    done = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    assert len(done) == 3
    assert len({trial.params["trainer.learning_rate"] for trial in done}) == 3
    assert [trial.number for trial in trials if trial.state == TrialState.FAIL] == [1]
