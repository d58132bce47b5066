"""`init_from=`: a training starts from a trained model, says so, and resumes without it."""

import csv
import json
import shutil
import time
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

import timbrel
from stages.test_kill import logged_steps, outcome
from stages.training_jobs import TINY, lean, only_run, start, warm_context
from timbrel.stages import parts, train
from timbrel.stages.additions import additions
from timbrel.stages.composing import compose
from timbrel.stages.training_parts import training_module
from timbrel.stages.warm_start import warm_started
from timbrel.training.compute import resolve_compute
from timbrel.training.metrics_log import MetricsLog

SHORT = tuple(text for text in TINY if not text.startswith("trainer.max_steps"))


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory, recordings: Path) -> Path:
    """A run of eight steps on six tones."""
    folder = tmp_path_factory.mktemp("parent")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(folder)
        lean(monkeypatch)
        assert train.main([f"data.root={recordings}", *SHORT, "trainer.max_steps=8"]) == 0
    return only_run(folder)


@pytest.fixture
def run_from(parent: Path, recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Train on the same tones from the parent: the status."""
    monkeypatch.chdir(tmp_path)
    lean(monkeypatch)

    def run(*overrides: str) -> int:
        from_parent = (f"data.root={recordings}", f"init_from={parent}")
        keys = {text.split("=")[0] for text in overrides}
        return train.main(
            [*from_parent, *(t for t in SHORT if t.split("=")[0] not in keys), *overrides]
        )

    return run


def scores(run: Path) -> list[dict[str, str]]:
    with (run / "evaluation" / "files.csv").open(newline="") as file:
        return [row for row in csv.DictReader(file) if row["system"] == "model"]


def test_without_learning_it_scores_as_its_parent(run_from, parent: Path, tmp_path: Path) -> None:
    status = run_from("trainer.learning_rate=1e-30", "trainer.max_steps=2")
    assert status == 0
    child = only_run(tmp_path)
    assert scores(child) == scores(parent)
    card = json.loads((child / "model" / "card.json").read_text())
    of_parent = json.loads((parent / "model" / "card.json").read_text())
    assert card["parent"] == card["model_hash"] == of_parent["model_hash"]  # the very weights
    record = json.loads((child / "run.json").read_text())["init_from"]
    assert record == {
        "path": str(parent), "name": of_parent["name"], "model_hash": of_parent["model_hash"],
    }  # fmt: skip
    assert json.loads((parent / "run.json").read_text())["init_from"] is None
    assert timbrel.load(child).bundle.card.parent == of_parent["model_hash"]


def test_averaged_weights_start_from_the_parents_too(parent: Path, recordings: Path) -> None:
    overrides = [f"data.root={recordings}", f"init_from={parent / 'model'}", *TINY, "seed=5"]
    config = compose("train", overrides)
    model = parts.build_model(config)
    assert warm_started(config, model).path == str(parent / "model")
    compute = resolve_compute(
        accelerator="cpu", precision="fp32", workers=0, threads=1, pin_memory=None, tf32=False
    )
    module = training_module(config, model, compute, additions(config))
    of_parent = timbrel.load(parent).model.state_dict()
    for weights in (module.model.state_dict(), module.averaged.state_dict()):
        assert weights.keys() == of_parent.keys()
        assert all(torch.equal(weights[name], of_parent[name]) for name in of_parent)


def test_what_was_taken_is_told(run_from, capsys) -> None:
    assert run_from("trainer.max_steps=1", "dry_run=true", "architecture.latent_dim=6") == 0
    told = capsys.readouterr().err
    assert "71 of 76 tensors taken over, 99.1% of the weights" in told
    assert "fresh: posterior.frame_mean: weight 6x16 (parent 4x16), bias 6 (parent 4)" in told
    hop = ("architecture.encoder.hop_samples=64", "trainer.max_steps=1", "dry_run=true")
    assert run_from(*hop) == 0
    assert "its frames were 128 samples long, not 64" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data.sample_rate_hz=44100", "data.channels=2"],
         "set data.sample_rate_hz=48000 data.channels=1, or leave init_from out"),
        (["architecture.encoder.width=24"], "so it is a model of another architecture: 'decoder."),
        (["init_from=nowhere"], "nowhere: no such folder"),
    ],
)  # fmt: skip
def test_what_cannot_be_started_from_is_refused_before_anything_is_made(
    run_from, tmp_path: Path, capsys, overrides: list[str], message: str
) -> None:
    assert run_from("trainer.max_steps=1", *overrides) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "outputs").exists()


def test_before_its_first_checkpoint_a_run_wants_the_same_parent(
    parent: Path, tmp_path: Path, capsys
) -> None:
    run = Path(shutil.copytree(parent, tmp_path / "run"))
    for name in ("last.ckpt", "best.ckpt"):
        (run / name).unlink()
    shutil.rmtree(run / "model")
    config = OmegaConf.load(run / "config.yaml")
    config.init_from = str(parent)
    OmegaConf.save(config, run / "config.yaml")
    record = json.loads((run / "run.json").read_text())
    record["init_from"] = {"path": str(parent), "name": "kicks", "model_hash": "another"}
    (run / "run.json").write_text(json.dumps(record))
    assert train.main([f"run={run}"]) == 2
    assert "is another model than the one it began with" in capsys.readouterr().err


def test_stopped_it_goes_on_without_its_parent(
    run_from, parent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class CutError(Exception):
        pass

    def cut(log: MetricsLog, step: int, values: dict[str, float]) -> None:
        append(log, step, values)
        if step == 6:
            raise CutError  # after the checkpoint of step 5

    append = MetricsLog.append
    copy = Path(shutil.copytree(parent, tmp_path / "copy"))
    for name in ("whole", "cut"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        with monkeypatch.context() as patch:
            if name == "cut":
                patch.setattr(MetricsLog, "append", cut)
                with pytest.raises(CutError):
                    run_from("trainer.max_steps=8", f"init_from={copy}")
            else:
                assert run_from("trainer.max_steps=8", f"init_from={copy}") == 0
    run = only_run(tmp_path / "cut")
    assert not (run / "model").exists()
    shutil.rmtree(copy)
    assert train.main([f"run={run}"]) == 0
    assert outcome(run) == outcome(only_run(tmp_path / "whole"))
    card = json.loads((run / "model" / "card.json").read_text())
    assert card["parent"] == json.loads((parent / "model" / "card.json").read_text())["model_hash"]


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_killed_it_goes_on_without_its_parent(
    parent: Path, recordings: Path, tmp_path: Path
) -> None:
    context = warm_context()
    copy = Path(shutil.copytree(parent, tmp_path / "copy"))
    data = (f"data.root={recordings}", f"init_from={copy}", *SHORT, "trainer.max_steps=24")
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    whole = start(context, tmp_path / "whole", *data)
    whole.join()
    assert whole.exitcode == 0

    process = start(context, tmp_path / "killed", *data)
    deadline_s = time.monotonic() + 60.0
    while logged_steps(tmp_path / "killed") < 12 and time.monotonic() < deadline_s:
        time.sleep(0.002)
    process.kill()
    process.join()
    run = only_run(tmp_path / "killed")
    assert not (run / "model").exists()
    shutil.rmtree(copy)
    last = start(context, tmp_path / "killed", f"run={run}")
    last.join()
    assert last.exitcode == 0
    assert outcome(run) == outcome(only_run(tmp_path / "whole"))
