"""Scores of the code during a training: by hand, in metrics.csv, after a resume, switched off."""

import copy
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.presets import build
from stages.training_jobs import TINY, lean, only_run
from timbrel.contracts import Batch
from timbrel.metrics.disentanglement import WATCHED, values
from timbrel.runs.folder import read_metrics
from timbrel.stages import code_chunks, train, training_run
from timbrel.training import callbacks
from timbrel.training.code_scores import MeasuredChunks, code_scores
from timbrel.training.module import Training

NAMES = {f"validation/disentanglement_{name}" for name in (*WATCHED, "n")}
TASK = (
    *TINY, "data=demo", "data.files=16", "trainer.max_steps=6",
    "trainer.validate_every_steps=2", "trainer.checkpoint_every_steps=3",
)  # fmt: skip
INTERRUPTED = 130
CUT_AT_STEP = 4  # behind a validation and a checkpoint


def batch(n: int, seed: int = 0, channels: int = 1) -> Batch:
    rng = torch.Generator().manual_seed(seed)
    gains = torch.rand(n, 1, 1, generator=rng)
    audio = gains * torch.randn(n, channels, 4096, generator=rng)
    return Batch(audio, audio, torch.arange(n), torch.zeros(n, dtype=torch.long))


def chunks(batches: list[Batch], hop: int, *, files: int | None = None) -> MeasuredChunks:
    n = sum(len(b.input) for b in batches)
    level = torch.cat([b.input for b in batches]).square().mean((1, 2)).log().numpy()
    other = np.random.default_rng(0).random(n)
    heard = np.ones((n, 4096 // hop), bool)
    heard[:, 20:] = False
    return MeasuredChunks(
        batches,
        np.stack([level, other, np.full(n, np.nan)], 1).astype(np.float64),
        heard,
        np.array([f"{row % (files or n)}" for row in range(n)]),
    )


@pytest.mark.parametrize("architecture", ["spectral_small", "harmonic_small"])
def test_values_equal_those_by_hand_whatever_the_batches(architecture: str) -> None:
    model = build(architecture, latent_dim=3, clip_dim=2).eval()
    for weight in model.posterior.parameters():
        weight.data *= 30  # untrained, its means are all alike
    whole = batch(24)
    given = chunks([whole], model.hop_samples)
    found = code_scores(model, given, nullcontext())
    assert set(found) == {name.removeprefix("validation/") for name in NAMES}
    assert found["disentanglement_n"] == 24
    with torch.no_grad():
        features = model.encoder(whole.input)
        posterior = model.posterior(features)
    codes = torch.cat([posterior.mean.frames[:, :, :20].mean(2), posterior.mean.clip], 1).numpy()
    active = codes.var(0) > 0.01
    assert active.any()
    by_hand = values(codes[:, active], given.factors, metrics=WATCHED)
    for name, value in by_hand.items():
        assert found[f"disentanglement_{name}"] == pytest.approx(value, abs=1e-6)
    parts = chunks([whole.map(lambda x: x[:7]), whole.map(lambda x: x[7:])], model.hop_samples)
    again = code_scores(model, parts, nullcontext())
    assert again == pytest.approx(found, abs=1e-6)


def test_chunks_of_one_recording_are_one_sample_and_below_ten_nothing_is_told() -> None:
    model = build("spectral_small").eval()
    given = chunks([batch(24)], model.hop_samples, files=12)
    assert code_scores(model, given, nullcontext())["disentanglement_n"] == 12
    few = chunks([batch(24)], model.hop_samples, files=9)
    assert code_scores(model, few, nullcontext()) == {}


def test_silent_chunks_have_no_row_and_a_diverged_code_no_score() -> None:
    model = build("spectral_small").eval()
    given = chunks([batch(24)], model.hop_samples)
    given.heard[:3] = False
    assert code_scores(model, given, nullcontext())["disentanglement_n"] == 21
    broken = copy.deepcopy(model)
    next(broken.encoder.parameters()).data.fill_(torch.nan)
    assert code_scores(broken, given, nullcontext()) == {}


def test_a_dead_code_scores_nothing_and_does_not_fail() -> None:
    model = build("spectral_small").eval()
    given = chunks([batch(24)], model.hop_samples)
    silent = [replace(given.batches[0], input=torch.zeros(24, 1, 4096))]
    found = code_scores(model, replace(given, batches=silent), nullcontext())
    assert {found[f"disentanglement_{name}"] for name in WATCHED} == {0.0}


def curves_of(folder: Path, *overrides: str) -> dict[str, list[tuple[int, float]]]:
    """What a training in `folder` logs, or one that goes on there."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        folder.mkdir(exist_ok=True)
        monkeypatch.chdir(folder)
        assert train.main([*overrides]) == INTERRUPTED
    curves = dict(read_metrics(only_run(folder) / "metrics.csv"))
    curves.pop("train/elapsed_s")
    return curves


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Trainings stop before their models are scored: all curves are written by then."""

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    lean(monkeypatch)
    monkeypatch.setattr(training_run, "_statistics", stop)
    monkeypatch.chdir(tmp_path)
    return monkeypatch


@pytest.mark.slow
def test_a_training_logs_them_a_resumed_one_the_same_and_neither_learns_otherwise(
    tmp_path: Path, tiny: pytest.MonkeyPatch
) -> None:
    whole = curves_of(tmp_path / "whole", *TASK)
    assert whole.keys() >= NAMES
    for name in NAMES:
        assert [step for step, _ in whole[name]] == [2, 4, 6]
    assert {value for _, value in whole["validation/disentanglement_n"]} == {15.0}  # no test file
    assert all(0 <= value <= 1 for _, value in whole["validation/disentanglement_scc"])

    step = Training.training_step

    def cut(self: Training, batch: Batch, batch_index: int) -> Any:
        if self.step == CUT_AT_STEP:
            raise KeyboardInterrupt
        return step(self, batch, batch_index)

    with tiny.context() as once:
        once.setattr(Training, "training_step", cut)
        cut_off = curves_of(tmp_path / "cut", *TASK)
    assert [step for step, _ in cut_off["validation/disentanglement_mig"]] == [2, 4]
    assert curves_of(tmp_path / "cut", f"run={only_run(tmp_path / 'cut')}") == whole

    # Without them nothing is measured, and every other number is the same.
    tiny.setattr(code_chunks, "measure_segments", None)
    tiny.setattr(callbacks, "code_scores", None)
    never = curves_of(tmp_path / "never", *TASK, "trainer.disentanglement_every_validations=0")
    assert never == {name: curve for name, curve in whole.items() if name not in NAMES}


def test_every_second_validation_and_the_last(tmp_path: Path, tiny: pytest.MonkeyPatch) -> None:
    every = ("trainer.disentanglement_every_validations=2", "trainer.max_steps=5")
    curves = curves_of(tmp_path / "run", *TASK, *every)
    assert [step for step, _ in curves["validation/loss"]] == [2, 4, 5]
    assert [step for step, _ in curves["validation/disentanglement_mig"]] == [4, 5]


def test_few_recordings_are_told_and_train_all_the_same(
    recordings: Path, tmp_path: Path, tiny: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    few = (*TINY, "trainer.max_steps=2", f"data.root={recordings}")
    assert not NAMES & curves_of(tmp_path / "run", *few).keys()
    assert "5 recordings to follow the disentanglement of the code by; it takes 10" in (
        capsys.readouterr().err
    )


def test_a_number_below_zero_is_refused(
    tmp_path: Path, tiny: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train.main([*TASK, "trainer.disentanglement_every_validations=-1"]) != 0
    told = capsys.readouterr().err
    assert "trainer.disentanglement_every_validations" in told
    assert "0" in told


def test_half_of_the_chunks_are_held_out_where_there_are_as_many(tmp_path: Path) -> None:
    from segments import segment
    from timbrel.data.split.parts import Split

    def some(name: str, count: int) -> tuple[Any, ...]:
        return tuple(segment(f"{name}{i}", np.zeros(10)) for i in range(count))

    split = Split(some("t", 100), some("v", 40), some("x", 3))
    names = [chosen.clip.name for chosen in code_chunks._chosen(split)]
    assert len(names) == 64
    assert sum(name.startswith("v") for name in names) == 32
    few = Split(some("t", 5), some("v", 2), ())
    assert len(code_chunks._chosen(few)) == 7
    none = Split(some("t", 100), (), ())
    assert len(code_chunks._chosen(none)) == 64
