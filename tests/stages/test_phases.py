"""A training in phases with an adversary on audio, killed anywhere, repeats its curve."""

import hashlib
import itertools
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from stages.training_jobs import TINY, lean, only_run, start, warm_context
from timbrel.runs.folder import held_out_loss, read_metrics
from timbrel.stages import train, watchers
from timbrel.training import compute
from timbrel.training.callbacks import Clock
from timbrel.training.fit import BEST
from timbrel.training.module import Training

TASK = (
    "data=demo", "data.files=6", *TINY, "device.precision=bf16", "latent=factor_vae",
    "trainer.max_steps=12", "trainer.checkpoint_every_steps=5", "trainer.validate_every_steps=4",
    "architecture.decoder.dropout=0.1",
    "+loss.adversaries.hinge={adversary:{_target_:training.hinge.Hinge,channels:${data.channels}},"
    "weights:{generator:0.1,feature_matching:1.0}}",
    "phases=[{name:spectra,adversaries:[]},"
    "{name:verdicts,from_step:5,train:[decoder],weights:{stft_log:0.5}},"
    "{name:all,from_step:10}]",
)  # fmt: skip


NATIVE_BF16 = compute._native_bf16("cpu")


def lean_in_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also on a processor that timbrel refuses it on, since it is slower there than fp32."""
    lean(monkeypatch)
    monkeypatch.setattr(compute, "_native_bf16", lambda _: True)


def outcome(run: Path) -> tuple[str, dict[str, list[tuple[int, float]]]]:
    curves = read_metrics(run / "metrics.csv")
    curves.pop("train/elapsed_s")
    weights = (run / "model" / "weights.safetensors").read_bytes()
    return hashlib.sha256(weights).hexdigest(), dict(curves)


def trained(folder: Path, monkeypatch: pytest.MonkeyPatch, task: Sequence[str] = TASK) -> Path:
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert train.main([*task]) == 0
    return only_run(folder)


def cut_at(steps: list[int], folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stopped before each of these steps and taken up again."""
    folder.mkdir()
    monkeypatch.chdir(folder)
    step = Training.training_step

    def cut(self: Training, batch, batch_index):
        if steps and self.step == steps[0]:
            steps.pop(0)
            raise KeyboardInterrupt
        return step(self, batch, batch_index)

    words = [*TASK]
    with monkeypatch.context() as once:
        once.setattr(Training, "training_step", cut)
        while (status := train.main(words)) == 130:
            words = [f"run={only_run(folder)}", "trust=true"]
    assert (status, steps) == (0, [])
    return only_run(folder)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as monkeypatch:
        lean_in_bf16(monkeypatch)
        return trained(tmp_path_factory.mktemp("whole") / "here", monkeypatch)


def test_every_phase_did_its_part(whole: Path) -> None:
    _, curves = outcome(whole)
    played = [step for step, _ in curves["train/hinge/adversary"]]
    assert played == [*range(6, 13)]  # logged after the step, so from 5 on, counted from 0
    assert curves["train/hinge/feature_matching"][0][0] == 6
    assert [step for step, _ in curves["train/adversary"]] == [*range(1, 13)]
    assert curves["weight/stft_log"] == [(n, 0.5 if 6 <= n <= 10 else 1.0) for n in range(1, 13)]
    assert curves["validation/phase"] == [(4, 1.0), (8, 2.0), (12, 3.0)]
    assert {count for _, count in curves["validation/recordings"]} == {1}
    assert held_out_loss(curves).points == curves["validation/loss"][-1:]


def test_the_averaged_weights_of_the_best_step_become_the_model(whole: Path) -> None:
    checkpoint = torch.load(whole / BEST, weights_only=True)
    assert checkpoint["timbrel"]["step"] == 12  # the one validation of the last phase
    states = checkpoint["state_dict"]
    saved = load_file(whole / "model" / "weights.safetensors")
    assert saved
    raw = 0
    for name, value in saved.items():
        assert torch.equal(value, states[f"average.module.{name}"])
        raw += torch.equal(value, states[f"model.{name}"])
    assert raw < len(saved) / 2  # few are the same by chance, or are no weights


def test_cut_off_under_bf16_it_repeats_its_curve(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut at a border, before the first step of its phase, and in the middle of one."""
    lean_in_bf16(monkeypatch)
    assert outcome(cut_at([5, 8], tmp_path / "cut", monkeypatch)) == outcome(whole)


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    "precision",
    [
        "fp32",
        pytest.param("bf16", marks=pytest.mark.skipif(not NATIVE_BF16, reason="no bf16 here")),
    ],
)
def test_killed_in_a_phase_it_goes_on_in_it(
    precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lean_in_bf16(monkeypatch)
    task = [text for text in TASK if not text.startswith("device.precision")]
    task.append(f"device.precision={precision}")
    expected = outcome(trained(tmp_path / "whole", monkeypatch, task))
    (tmp_path / "killed").mkdir()
    process = start(warm_context(), tmp_path / "killed", *task)
    deadline_s = time.monotonic() + 180.0
    while time.monotonic() < deadline_s and process.exitcode is None:
        rows = [path.read_text() for path in tmp_path.glob("killed/outputs/*/metrics.csv")]
        if any("\n7,train/loss" in text for text in rows):
            break
        time.sleep(0.002)
    process.kill()
    process.join()
    assert process.exitcode == -9
    run = only_run(tmp_path / "killed")
    assert train.main([f"run={run}", "trust=true"]) == 0
    assert outcome(run) == expected


def test_a_dry_run_counts_the_adversaries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lean_in_bf16(monkeypatch)
    monkeypatch.chdir(tmp_path)
    assert train.main([*TASK, "dry_run=true"]) == 0
    assert "12 steps" in capsys.readouterr().out
    wrong = [text.replace("feature_matching", "matching") for text in TASK]
    assert train.main([*wrong, "dry_run=true"]) == 2
    assert "hinge/matching" in capsys.readouterr().err


def test_a_phase_that_never_began_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lean_in_bf16(monkeypatch)
    monkeypatch.chdir(tmp_path)
    late = "phases=[{name:one},{name:late,from_step:100000}]"
    timed = [text for text in TASK if not text.startswith(("phases", "trainer.max"))]
    ticks = itertools.count()  # a step a second
    monkeypatch.setattr(watchers, "Clock", partial(Clock, now_s=lambda: float(next(ticks))))
    assert train.main([*timed, late, "trainer.max_time=12s", "trainer.max_steps=null"]) == 0
    assert "note: phase 'late' never began: training ended before it" in capsys.readouterr().err
