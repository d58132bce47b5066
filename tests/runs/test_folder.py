"""Run folders as they are found: whole, killed, half written, or none at all."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from timbrel.errors import UserError
from timbrel.runs.folder import held_out_loss, read_metrics, read_run
from timbrel.runs.selection import HeldOutLoss


def write_run(folder: Path) -> Path:
    (folder / "model").mkdir(parents=True)
    (folder / "config.yaml").write_text(
        "seed: 3\nname: kicks\ntrainer:\n  learning_rate: 0.0001\n  max_time: 8m\n"
    )
    (folder / "overrides.yaml").write_text("- seed=3\n- data.root='~/kicks'\n")
    (folder / "run.json").write_text('{"data_hash": "ab", "seed": 3}')
    (folder / "metrics.csv").write_text("step,name,value\n1,train/loss,0.5\n2,train/loss,0.25\n")
    (folder / "model" / "card.json").write_text('{"name": "kicks", "metrics": {}}')
    return folder


def write_evaluation(folder: Path) -> None:
    (folder / "evaluation").mkdir()
    (folder / "evaluation" / "files.csv").write_bytes(
        b"part,file,system,seconds,mrstft,log_mel_l1,si_sdr_db,loudness_error_lu,nats_per_second\n"
        b"test,caf\xe9.wav,model,1.5,1.25,0.5,3.0,-0.1,200.0\n"
        b"test,007,silence,1.5,4.0,5.0,-inf,-20.0,\n"
        b'test,"two\nlines, and a comma.wav",noise,1.5,4.0,5.0,-30.0,0.0,\n'
        b"test,sep\xe2\x80\xa8arator.wav,noise,1.5,4.0,5.0,-30.0,0.0,\n"
    )
    (folder / "evaluation" / "summary.csv").write_text(
        "part,system,metric,mean,low,high,files\ntest,model,mrstft,1.25,1.0,1.5,4\n"
    )
    (folder / "evaluation" / "gates.csv").write_text(
        "gate,value,limit,passed,meaning\n"
        "parity,0.0,1e-06,yes,the same input\n"
        "held_out_ratio,1.2,1.05,no,\n"
        "kl_floor,,0.5,unknown,no rate is known\n"
    )


def test_a_whole_run(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "2026-01-02_030405_kicks")
    run = read_run(folder)
    assert run.folder == folder
    assert run.name == "2026-01-02_030405_kicks"
    assert run.config["trainer"] == {"learning_rate": 0.0001, "max_time": "8m"}
    assert run.overrides == ("seed=3", "data.root='~/kicks'")
    assert run.provenance == {"data_hash": "ab", "seed": 3}
    assert run.curves == {"train/loss": [(1, 0.5), (2, 0.25)]}
    assert run.card["name"] == "kicks"
    assert run.evaluation is None


def test_evaluation_tables(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    write_evaluation(folder)
    evaluation = read_run(folder).evaluation
    assert evaluation is not None
    first, second, third, fourth = evaluation.files
    assert os.fsencode(first["file"]) == b"caf\xe9.wav"
    assert first["mrstft"] == 1.25
    assert first["nats_per_second"] == 200.0
    assert second["file"] == "007"  # a name, though it reads as a number
    assert second["si_sdr_db"] == -math.inf
    assert math.isnan(second["nats_per_second"])
    assert third["file"] == "two\nlines, and a comma.wav"
    assert fourth["file"] == "sep\u2028arator.wav"
    assert evaluation.summary[0] == {
        "part": "test",
        "system": "model",
        "metric": "mrstft",
        "mean": 1.25,
        "low": 1.0,
        "high": 1.5,
        "files": 4.0,
    }
    assert [gate["passed"] for gate in evaluation.gates] == [True, False, None]
    assert math.isnan(evaluation.gates[2]["value"])


def test_a_run_killed_mid_line(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    with (folder / "metrics.csv").open("a") as file:
        file.write("3,train/loss,0.12")  # of 0.125: it lacks digits
    (folder / "model" / "card.json").unlink()
    run = read_run(folder)
    assert run.curves == {"train/loss": [(1, 0.5), (2, 0.25)]}
    assert run.card == {}


@pytest.mark.parametrize("written", ["", "step,na"])
def test_a_run_killed_before_its_first_row(tmp_path: Path, written: str) -> None:
    (tmp_path / "metrics.csv").write_text(written)
    assert read_metrics(tmp_path / "metrics.csv") == {}


def test_a_run_that_only_began(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("seed: 0\n")
    run = read_run(tmp_path)
    assert (run.overrides, run.provenance, run.curves, run.card) == ((), {}, {}, {})


def test_a_bundle_alone(tmp_path: Path) -> None:
    """A bundle has a config.yaml too: its model's, which is no run's."""
    (tmp_path / "config.yaml").write_text("_target_: timbrel.models.autoencoder.Autoencoder\n")
    (tmp_path / "card.json").write_text(json.dumps({"name": "kicks", "metrics": {"a": 1}}))
    run = read_run(tmp_path)
    assert run.card == {"name": "kicks", "metrics": {"a": 1}}
    assert run.config == {}
    assert run.evaluation is None


def test_a_folder_that_is_neither_is_told_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no config\.yaml.*no card\.json"):
        read_run(tmp_path)
    with pytest.raises(UserError, match="no such folder"):
        read_run(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.yaml", "a: [1\n"),
        ("config.yaml", "- 1\n"),
        ("run.json", "{"),
        ("model/card.json", "[1]"),
        ("metrics.csv", "step,name,value\nx,a,1\n"),
        ("overrides.yaml", "a: 1\n"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, name: str, content: str) -> None:
    folder = write_run(tmp_path / "run")
    (folder / name).write_text(content)
    with pytest.raises(UserError, match="is damaged") as error:
        read_run(folder)
    assert str(folder / name) in str(error.value)


def test_reading_needs_neither_torch_nor_hydra() -> None:
    code = "import sys, timbrel.runs.folder; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert {"torch", "hydra", "omegaconf", "numpy"}.isdisjoint(loaded.stdout.split())


def test_the_held_out_loss_is_that_of_the_last_phase() -> None:
    losses = [(2, 5.0), (4, 4.0), (6, 9.0), (8, 8.0)]
    assert held_out_loss({}) == HeldOutLoss([])
    assert held_out_loss({"validation/loss": losses}) == HeldOutLoss(losses)
    phases = [(2, 1.0), (4, 1.0), (6, 2.0), (8, 2.0)]
    found = held_out_loss({"validation/loss": losses, "validation/phase": phases})
    assert found == HeldOutLoss([(6, 9.0), (8, 8.0)])
    of_two = [(2, 2.0), (4, 2.0)]
    assert held_out_loss({"validation/recordings": of_two}).recordings == 2
