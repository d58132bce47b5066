"""Every gate passes, fails or is unknown where it should."""

import csv
import math
from pathlib import Path

import pytest

from timbrel.analysis import gates
from timbrel.analysis.evaluation import FileScore
from timbrel.metrics.scores import SCORES
from timbrel.runs.selection import HeldOutLoss


def row(
    part: str, system: str = "model", score: float = 1.0, nats: float = math.nan, seconds: float = 1
) -> FileScore:
    return FileScore(part, "a.wav", system, seconds, dict.fromkeys(SCORES, score), nats)


def test_the_rate_is_nats_per_frame_of_held_out_audio() -> None:
    """100 frames/s; 3 s at 100 nats/s and 1 s at 20: 320 nats in 400 frames. Training is not it."""
    rows = [
        row("test", nats=100.0, seconds=3),
        row("validation", nats=20.0),
        row("train", nats=9e9),
    ]
    gate = gates.kl_floor(rows, 100.0, 0.5)
    assert (gate.value, gate.passed) == (pytest.approx(0.8), True)
    collapsed = gates.kl_floor(rows, 100.0, 0.8)
    assert collapsed.passed is False  # above the floor, not on it
    assert "latent=free_bits or latent=target_kl" in collapsed.meaning


def test_a_rate_that_is_not_there_is_unknown() -> None:
    deterministic = gates.kl_floor([row("test")], 100.0, 0.5)
    assert deterministic.passed is None
    assert "deterministic" in deterministic.meaning
    assert "no held-out file" in gates.kl_floor([row("train", nats=9.0)], 100.0, 0.5).meaning


@pytest.mark.parametrize(
    ("losses", "value", "passed"),
    [
        ([3.0, 2.0, 2.0], 1.0, True),
        ([3.0, 2.0, 2.1], 1.05, True),
        ([3.0, 2.0, 2.2], 1.1, False),
        ([3.0], 1.0, True),
        ([math.nan, 2.0, 2.2], 1.1, False),
    ],
)
def test_the_end_is_compared_with_the_best(losses, value, passed) -> None:
    gate = gates.held_out_loss(HeldOutLoss([*zip((10, 20, 30), losses, strict=False)]), 1.05)
    assert gate.value == pytest.approx(value)
    assert gate.passed is passed
    if not passed:
        assert "trainer.max_steps=20" in gate.meaning


def test_no_validation_is_unknown() -> None:
    gate = gates.held_out_loss(HeldOutLoss(), 1.05)
    assert (gate.passed, gate.verdict) == (None, "unknown")


def test_parity_is_the_largest_difference() -> None:
    assert gates.front_end_parity([0.0, 1e-6], 1e-6).passed is True
    assert gates.front_end_parity([0.0, 2e-6], 1e-6).passed is False
    assert gates.front_end_parity([], 1e-6).passed is None
    assert gates.front_end_parity([math.inf], 1e-6).passed is False
    assert gates.latent_parity([1e-5]).passed is True
    assert gates.latent_parity([1e-3]).passed is False


def test_a_file_that_cannot_be_read_leaves_parity_unknown_but_no_failure_hidden() -> None:
    gate = gates.front_end_parity([0.0], 1e-6, "'a.wav': gone")
    assert gate.passed is None
    assert "'a.wav': gone" in gate.meaning
    assert gates.front_end_parity([1.0], 1e-6, "'a.wav': gone").passed is False


def test_a_model_that_does_not_beat_noise_is_told() -> None:
    rows = [row("test", score=1.0), row("test", "silence", 4.0), row("test", "noise", 0.9)]
    assert gates.better_than_silence(rows, "test").passed is True
    gate = gates.better_than_noise(rows, "test")
    assert (gate.value, gate.limit, gate.passed) == (1.0, 0.9, False)
    assert "not closer than noise" in gate.meaning
    tie = [row("test", score=1.0), row("test", "noise", 1.0)]
    assert gates.better_than_noise(tie, "test").passed is False
    assert gates.better_than_noise([row("train")], None).passed is None


def test_the_table(tmp_path: Path) -> None:
    rows = [gates.held_out_loss(HeldOutLoss(), 1.05), gates.front_end_parity([0.0], 1e-6)]
    gates.write_gates(tmp_path / "gates.csv", rows)
    with (tmp_path / "gates.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert list(first) == ["gate", "value", "limit", "passed", "meaning"]
    assert (first["value"], first["passed"]) == ("", "unknown")
    assert (second["value"], second["limit"], second["passed"]) == ("0", "1e-06", "yes")
