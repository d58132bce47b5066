"""An adversary, dropout and a controlled weight survive a training that is cut off."""

import hashlib
from pathlib import Path

import pytest

from stages.training_jobs import TINY, lean, only_run
from timbrel.runs.folder import read_metrics
from timbrel.stages import train
from timbrel.training.module import Training

CUT_AT_STEP = 5  # between two checkpoints, which come every 3 steps
TASK = (
    "data=demo", "data.files=6", *TINY, "trainer.max_steps=8", "trainer.checkpoint_every_steps=3",
    "trainer.validate_every_steps=4", "latent.dropout=0.2", "architecture.decoder.dropout=0.1",
)  # fmt: skip


def outcome(run: Path) -> tuple[str, dict[str, list[tuple[int, float]]]]:
    curves = read_metrics(run / "metrics.csv")
    curves.pop("train/elapsed_s")
    weights = (run / "model" / "weights.safetensors").read_bytes()
    return hashlib.sha256(weights).hexdigest(), dict(curves)


@pytest.mark.parametrize(
    "latent", [pytest.param("target_kl", marks=pytest.mark.slow), "factor_vae"]
)
def test_cut_off_and_resumed_it_repeats_its_curve(
    latent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lean(monkeypatch)
    for name in ("whole", "cut"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "whole")
    assert train.main([*TASK, f"latent={latent}"]) == 0

    step = Training.training_step

    def cut(self: Training, batch, batch_index):
        if self.step == CUT_AT_STEP:
            raise KeyboardInterrupt
        return step(self, batch, batch_index)

    monkeypatch.chdir(tmp_path / "cut")
    with monkeypatch.context() as once:
        once.setattr(Training, "training_step", cut)
        assert train.main([*TASK, f"latent={latent}"]) != 0
    run = only_run(tmp_path / "cut")
    assert train.main([f"run={run}"]) == 0
    expected = outcome(only_run(tmp_path / "whole"))
    found = outcome(run)
    assert found[1] == expected[1]
    assert found[0] == expected[0]
    moving = {name for name in expected[1] if name.startswith("weight/")}
    assert moving == ({"weight/kl"} if latent == "target_kl" else set())
    assert ("train/adversary" in expected[1]) is (latent == "factor_vae")


def test_any_gaussian_option_takes_a_target_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lean(monkeypatch)
    monkeypatch.chdir(tmp_path)
    controller = "{_target_:timbrel.losses.control.TargetRate,target_nats_per_frame:2.0}"
    options = ["latent=free_bits", f"latent.weights.floored_kl={controller}"]
    assert train.main([*TASK, *options, "trainer.max_steps=3"]) == 0
    curves = read_metrics(only_run(tmp_path) / "metrics.csv")
    weights = [value for _, value in curves["weight/floored_kl"]]
    assert weights == sorted(set(weights))  # the rate of an untrained code is too high
