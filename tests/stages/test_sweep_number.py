"""`objective=`: the number that a sweeper gets, checked before anything is trained."""

import csv
from pathlib import Path

import pytest

from stages.training_jobs import TINY, lean, only_run
from timbrel.errors import UserError
from timbrel.metrics.scores import RUN_SCORES, SCORES
from timbrel.runs.folder import read_metrics
from timbrel.stages import train
from timbrel.stages.app import compose
from timbrel.stages.sweep_number import check_objective, part_of

SHORT = tuple(text for text in TINY if not text.startswith(("trainer.max", "trainer.val")))


def test_every_score_and_gate_has_a_name() -> None:
    for score in SCORES:
        check_objective(f"test/{score}", channels=2)
    for gate in RUN_SCORES:
        check_objective(f"gates/{gate}", channels=1)
    check_objective(None, channels=1)


@pytest.mark.parametrize(
    ("objective", "told"),
    [
        ("mrstft", "no such number"),
        ("test/mrstf", "did you mean 'test/mrstft'"),
        ("gates/mrstft", "gates/GATE with GATE of kl_floor"),
        (
            "validation/width_error",
            "SCORE of mrstft, log_mel_l1, si_sdr_db, loudness_error_lu, and",
        ),
    ],
)
def test_an_unknown_number_is_refused(objective: str, told: str) -> None:
    with pytest.raises(UserError) as refused:
        check_objective(objective, channels=1)
    assert told in str(refused.value)


def test_a_part_without_files_is_refused() -> None:
    with pytest.raises(UserError, match=r"no file is in the test part; name a number of train"):
        part_of("test/mrstft", ["train", "validation"])
    assert part_of("train/mrstft", ["train"]) == "train"
    assert part_of("validation/loss", ["train", "validation"]) is None
    assert part_of("gates/coverage", []) is None


def test_it_is_refused_before_a_recording_is_read(
    recordings, tmp_path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    assert train.main([f"data.root={recordings}", *SHORT, "objective=test/lsd"]) == 2
    assert "objective=test/lsd: no such number" in capsys.readouterr().err
    assert not (tmp_path / "outputs").exists()


@pytest.fixture
def run_of(recordings: Path, tmp_path: Path, monkeypatch):
    """Train two steps for a number: `(number, run folder)`."""
    monkeypatch.chdir(tmp_path)
    lean(monkeypatch)

    def run(objective: str) -> tuple[float | None, Path]:
        words = [f"data.root={recordings}", *SHORT, "trainer.max_steps=2", f"objective={objective}"]
        config = compose(
            "train", [*words, "trainer.max_time=null", "trainer.validate_every_steps=1"]
        )
        return train.job(config), only_run(tmp_path)

    return run


def test_a_score_of_a_part_that_is_not_the_tables_own(run_of) -> None:
    found, run = run_of("validation/mrstft")
    with (run / "evaluation" / "summary.csv").open(newline="") as file:
        rows = {
            (r["part"], r["system"], r["metric"]): float(r["mean"]) for r in csv.DictReader(file)
        }
    assert found == pytest.approx(rows["validation", "model", "mrstft"], rel=1e-9)
    assert ("test", "silence", "mrstft") in rows  # the controls stay beside the test part


def test_a_gate(run_of) -> None:
    found, run = run_of("gates/kl_floor")
    with (run / "evaluation" / "gates.csv").open(newline="") as file:
        values = {row["name"]: float(row["value"] or "nan") for row in csv.DictReader(file)}
    assert found == pytest.approx(values["kl_floor"], rel=1e-9)


def test_the_loss_is_that_of_the_best_checkpoint(run_of) -> None:
    found, run = run_of("validation/loss")
    assert found == min(value for _, value in read_metrics(run / "metrics.csv")["validation/loss"])
