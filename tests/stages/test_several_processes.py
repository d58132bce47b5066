"""`device=ddp_cpu`: real processes that share a training; its curve is that of one process."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import torch

from stages.training_jobs import TINY
from timbrel.runs.folder import read_metrics

pytestmark = pytest.mark.slow

STEPS = 24
SHARED = (
    *(t for t in TINY if t.split("=")[0] not in ("device", "device.threads")),
    "trainer.batch_size=8",
    f"trainer.max_steps={STEPS}",
    "trainer.learning_rate=1e-4",
    "trainer.checkpoint_every_steps=2",
    "device.precision=fp32",
)
TOLERANCES = {
    "train/loss": 1e-3,
    "train/stft_relative": 1e-3,
    "train/level": 1e-3,
    "train/kl": 2e-2,
    "train/learning_rate": 0,
    "validation/loss": 1e-3,
}


class Training:
    """`timbrel train` in `folder`, as a user starts it."""

    def __init__(self, folder: Path, *words: str) -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self.log = folder, folder / "told.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "timbrel", "train", *words],
                cwd=folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )

    def status(self) -> int:
        return self.process.wait(120)

    @property
    def said(self) -> str:
        return self.log.read_text()

    def others(self) -> list[psutil.Process]:
        return [
            child
            for child in psutil.Process(self.process.pid).children(recursive=True)
            if "timbrel.stages.follower" in child.cmdline()
        ]

    def wait_for(self, step: int, run: Path) -> None:
        while steps(run) < step:
            assert self.process.poll() is None, self.said
            time.sleep(0.005)


def steps(run: Path) -> int:
    path = run / "metrics.csv"
    found = read_metrics(path).get("train/loss", []) if path.exists() else []
    return max((step for step, _ in found), default=0)


def curve(run: Path) -> dict[str, list[tuple[int, float]]]:
    found = read_metrics(run / "metrics.csv")
    return {k: v for k, v in found.items() if k.startswith(("train/", "validation/loss"))}


def same_curve(one: Path, other: Path) -> None:
    """But for rounding, which the moments of Adam enlarge, most where a value is small."""
    expected, found = curve(one), curve(other)
    assert len(expected["train/loss"]) == STEPS
    assert found.keys() == expected.keys()
    for name, tolerance in TOLERANCES.items():
        assert [step for step, _ in found[name]] == [step for step, _ in expected[name]]
        values = [value for _, value in expected[name]]
        assert [value for _, value in found[name]] == pytest.approx(values, rel=tolerance), name


@pytest.fixture(scope="module")
def begin(tmp_path_factory: pytest.TempPathFactory, recordings: Path) -> Callable[..., Training]:
    root = tmp_path_factory.mktemp("shared")

    def start(name: str, *words: str) -> Training:
        resumes = any(word.startswith("run=") for word in words)
        data = () if resumes else (f"data.root={recordings}", *SHARED)
        return Training(root / name, *data, *words)

    return start


@pytest.fixture(scope="module")
def alone(begin: Callable[..., Training]) -> Path:
    training = begin("alone", "device=cpu", "hydra.run.dir=run")
    assert training.status() == 0, training.said
    return training.folder / "run"


@pytest.mark.timeout(300)
def test_two_processes_have_the_curve_of_one(alone: Path, begin: Callable[..., Training]) -> None:
    training = begin("two", "device=ddp_cpu", "hydra.run.dir=run")
    training.wait_for(1, training.folder / "run")
    (other,) = training.others()
    assert training.status() == 0, training.said
    assert not other.is_running()
    assert training.said.count(f"step {STEPS}/{STEPS}") == 1  # told once
    same_curve(alone, training.folder / "run")
    for file in ("last.ckpt", "best.ckpt", "model/weights.safetensors"):
        assert (training.folder / "run" / file).stat().st_size > 0


@pytest.mark.timeout(300)
@pytest.mark.parametrize("latent", ["beta_tcvae", "dip_vae_i"])
def test_a_penalty_of_the_whole_batch(latent: str, begin: Callable[..., Training]) -> None:
    found = []
    for device in ("cpu", "ddp_cpu"):
        words = (f"latent={latent}", f"device={device}", "hydra.run.dir=run", "trainer.max_steps=5")
        training = begin(f"{latent}_{device}", *words)
        assert training.status() == 0, training.said
        found.append(torch.load(training.folder / "run" / "last.ckpt", weights_only=True))
    one, two = (checkpoint["state_dict"] for checkpoint in found)
    for name, weight in one.items():
        assert torch.allclose(two[name], weight, rtol=1e-3, atol=1e-4), name
    assert any(name.endswith(".filled") and int(rows) > 0 for name, rows in two.items())


@pytest.mark.timeout(400)
def test_a_killed_process_ends_all_and_any_number_goes_on(
    alone: Path, begin: Callable[..., Training]
) -> None:
    training = begin("killed", "device=ddp_cpu", "device.processes=4", "hydra.run.dir=run")
    run = training.folder / "run"
    training.wait_for(3, run)
    others = training.others()
    assert len(others) == 3
    others[-1].kill()  # the two that only miss it are not named
    assert training.status() == 2
    assert " of the training ended: killed by SIGKILL: out of memory?; " in training.said
    assert not psutil.wait_procs(others, timeout=20)[1]
    assert "to go on: timbrel train run=" in training.said
    assert "Traceback" not in training.said

    training = begin("killed", "run=run", "device.processes=2")
    training.wait_for(9, run)
    others = training.others()
    assert len(others) == 1
    training.process.kill()  # the first, from outside
    training.process.wait()
    assert not psutil.wait_procs(others, timeout=20)[1]

    training = begin("killed", "run=run", "device.processes=4")
    training.wait_for(13, run)
    others = training.others()
    training.process.send_signal(signal.SIGINT)
    assert training.status() == 130
    assert "stopped; to go on: timbrel train run=run" in training.said
    assert not psutil.wait_procs(others, timeout=20)[1]

    training = begin("killed", "run=run", "device=cpu")
    assert training.status() == 0, training.said
    same_curve(alone, run)


@pytest.mark.timeout(100)
def test_a_number_that_does_not_divide_the_batch_cannot_go_on(
    alone: Path, begin: Callable[..., Training]
) -> None:
    training = begin("alone", "run=run", "device=ddp_cpu", "device.processes=3")
    assert training.status() == 2
    assert "device.processes=3: trainer.batch_size=8 cannot be shared equally" in training.said


@pytest.mark.timeout(300)
def test_a_sweep_of_shared_trainings(begin: Callable[..., Training]) -> None:
    """One process is number 0 of both, one after the other; each is scored for a sweeper."""
    words = ("device=ddp_cpu", "seed=0,1", "trainer.max_steps=4", "objective=validation/mrstft")
    training = begin("sweep", "--multirun", *words, "hydra.sweep.dir=sweep")
    assert training.status() == 0, training.said
    for number in "01":
        assert steps(training.folder / "sweep" / number) == 4
        assert (training.folder / "sweep" / number / "model").is_dir()
