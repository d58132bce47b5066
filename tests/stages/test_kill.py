"""Killed anywhere and resumed, a training repeats its curve, its weights and its sounds."""

import hashlib
import random
import time
from pathlib import Path

import pytest

from stages.training_jobs import TINY, only_run, start, warm_context
from timbrel.runs.folder import read_metrics

DEADLINE_S = 60.0


def outcome(run: Path) -> dict[str, str]:
    """Digests of everything that must be the same: curves, weights, latents, sounds, scores."""
    kept = sorted(run.glob("model/*.safetensors"))
    for folder in ("audio", "evaluation"):
        kept += sorted(p for p in (run / folder).rglob("*") if p.suffix in (".wav", ".csv"))
    contents = {str(p.relative_to(run)): p.read_bytes() for p in kept}
    # What the clock showed is the one thing that two runs never share.
    rows = (run / "metrics.csv").read_bytes().splitlines()
    contents["metrics.csv"] = b"\n".join(row for row in rows if b",train/elapsed_s," not in row)
    return {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}


def logged_steps(folder: Path) -> int:
    """How far the one run under `folder` has come, by its metrics; 0 before there is one."""
    for path in folder.glob("outputs/*/metrics.csv"):
        steps = [step for step, _ in read_metrics(path).get("train/loss", [])]
        return max(steps, default=0)
    return 0


@pytest.mark.timeout(400)
@pytest.mark.parametrize("kills", [3, pytest.param(10, marks=pytest.mark.slow)])
def test_kills_leave_the_same_curve(recordings: Path, tmp_path: Path, kills: int) -> None:
    context = warm_context()
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    data = (f"data.root={recordings}", "augmentation=light", *TINY)
    whole = start(context, tmp_path / "whole", *data)
    whole.join()
    assert whole.exitcode == 0

    rng = random.Random(0)
    overrides = data
    killed_at = []
    for _ in range(kills):
        reached = logged_steps(tmp_path / "killed")
        target = reached + rng.randrange(-2, 5)  # also before and just after the last checkpoint
        process = start(context, tmp_path / "killed", *overrides)
        deadline_s = time.monotonic() + DEADLINE_S
        time.sleep(rng.uniform(0.0, 0.5))
        while logged_steps(tmp_path / "killed") < target and time.monotonic() < deadline_s:
            time.sleep(0.002)
        time.sleep(rng.uniform(0.0, 0.02))
        assert process.exitcode is None, "ended before it could be killed"
        process.kill()
        process.join()
        killed_at.append(logged_steps(tmp_path / "killed"))
        if list(tmp_path.glob("killed/outputs/*/config.yaml")):
            overrides = (f"run={only_run(tmp_path / 'killed')}",)
    last = start(context, tmp_path / "killed", *overrides)
    last.join()

    assert last.exitcode == 0
    assert len(set(killed_at)) > kills // 3, f"kills came at the same step: {killed_at}"
    expected = outcome(only_run(tmp_path / "whole"))
    assert len(expected) > 8
    assert {"evaluation/files.csv", "evaluation/gates.csv", "metrics.csv"} <= expected.keys()
    clock = read_metrics(only_run(tmp_path / "killed") / "metrics.csv")["train/elapsed_s"]
    assert clock == sorted(clock, key=lambda point: point[1])  # goes on where the kill left it
    assert outcome(only_run(tmp_path / "killed")) == expected


@pytest.mark.timeout(200)
def test_two_trainings_share_a_cold_cache(recordings: Path, tmp_path: Path) -> None:
    context = warm_context()
    cache = tmp_path / "cache"
    data = (f"data.root={recordings}", f"data.cache_dir={cache}", *TINY, "trainer.max_steps=2")
    both = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        both.append(start(context, tmp_path / name, *data))
    for process in both:
        process.join()
        assert process.exitcode == 0
    assert len(list(cache.rglob("*.npy"))) == 6
    assert not list(cache.rglob("*.part*")) + list(cache.rglob("*tmp*"))
