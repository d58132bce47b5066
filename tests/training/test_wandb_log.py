"""A real offline run, read back by W&B's own reader."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from timbrel.stages import train


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from stages.training_jobs import TINY, only_run

    folder = tmp_path_factory.mktemp("wandb")
    overrides = [text for text in TINY if text != "logger=none"]
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(folder)
        chosen = ["logger.group=study", "logger.tags=[small]", "logger.clips=1"]
        data = ["data=demo", "data.files=6", "trainer.max_steps=8"]
        assert train.main([*overrides, *data, *chosen]) == 0
    return only_run(folder)


def test_offline_run_holds_curves_audio_and_pictures(run: Path) -> None:
    (folder,) = (run / "wandb").glob("offline-run-*")
    wandb = str(Path(sys.executable).with_name("wandb"))
    command = [wandb, "leet", "inspect", "--json", str(folder)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    text = "\n".join(lines)
    history = [row for row in map(json.loads, lines) if row.get("type") == "history"]
    assert len(history) == 8
    assert "train/loss" in text
    assert "validation/loss" in text
    assert "trainer/global_step" in text
    assert "audio-file" in text
    assert "image-file" in text
    assert "test/mrstft" in text
    assert "study" in text
    assert list(folder.rglob("*.wav"))
    assert list(folder.rglob("*.png"))


def test_an_unreachable_server_costs_one_line(tmp_path: Path, monkeypatch, capsys) -> None:
    from timbrel.training import wandb_log

    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setattr(wandb_log, "_ONLINE_TIMEOUT_S", 3)
    settings = wandb_log.WandbSettings("online", "timbrel", None, (), "run")
    run = wandb_log.start_run(settings, tmp_path, {"seed": 0})
    run.log({"a": 1})
    run.finish()
    assert list((tmp_path / "wandb").glob("offline-run-*"))
    assert "logging offline" in capsys.readouterr().err
