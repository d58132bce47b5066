"""`objective=`: the number that a sweeper gets, checked before anything is trained."""

import csv
import math
from pathlib import Path

import pytest

from stages.training_jobs import TINY, lean, only_run
from timbrel.analysis.gates import Gate
from timbrel.errors import UserError
from timbrel.metrics.scores import MODEL_SCORES, RUN_SCORES, SCORES
from timbrel.stages import train
from timbrel.stages.composing import compose
from timbrel.stages.evaluation_run import Outcome
from timbrel.stages.parts import build_model
from timbrel.stages.sweep_number import check_objective, model_number, number, part_of, parts_of

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
            "loudness_error_lu, pitch_accuracy, ",
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
    assert part_of("model/parameters", []) is None
    names = [None, "gates/coverage", "train/lsd", "validation/loss", "train/mrstft"]
    assert parts_of(names, ["train", "validation"]) == ["train"]


def test_it_is_refused_before_a_recording_is_read(
    recordings, tmp_path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    assert train.main([f"data.root={recordings}", *SHORT, "objective=test/lsd"]) == 2
    assert "objective=test/lsd: no such number" in capsys.readouterr().err
    assert not (tmp_path / "outputs").exists()


def test_a_training_returns_the_score_that_its_tables_hold(
    recordings: Path, tmp_path: Path, monkeypatch
) -> None:
    """Of a part that is not scored by itself, beside the one that is."""
    monkeypatch.chdir(tmp_path)
    lean(monkeypatch)
    words = [
        f"data.root={recordings}",
        *SHORT,
        "trainer.max_steps=2",
        "objective=validation/mrstft",
    ]
    found = train.job(compose("train", words))
    with (only_run(tmp_path) / "evaluation" / "summary.csv").open(newline="") as file:
        rows = {
            (row["part"], row["system"], row["metric"]): row["mean"] for row in csv.DictReader(file)
        }
    assert found == pytest.approx(float(rows["validation", "model", "mrstft"]), rel=1e-6)
    assert ("test", "silence", "mrstft") in rows  # the controls stay beside the test part


def test_gates_and_the_loss_by_name() -> None:
    gate = Gate("coverage", value=0.25, limit=0.1, passed=True, meaning="")
    outcome = Outcome(files=[], summary=[], gates=[gate], generated=None)
    model = build_model(compose("train", ["data=demo", *SHORT]))
    assert number("gates/coverage", outcome, 1.5, model) == 0.25
    assert number("validation/loss", outcome, 1.5, model) == 1.5
    assert math.isnan(number("gates/diversity", outcome, 1.5, model))


@pytest.mark.parametrize("architecture", ["spectral_small", "harmonic_small"])
def test_what_a_model_costs(architecture: str) -> None:
    model = build_model(compose("train", ["data=demo", f"architecture={architecture}"]))
    numbers = {name: model_number(name, model) for name in MODEL_SCORES}
    assert numbers["parameters"] == sum(p.numel() for p in model.parameters())
    assert numbers["context_ms"] == model.receptive_field_samples / 48
    assert 0 < numbers["real_time"] < math.inf
