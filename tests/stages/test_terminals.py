"""Stages as processes: terminal closed, output unread, another encoding, and stopped by signals."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile

from stages.training_jobs import TINY

TIMBREL = (sys.executable, "-P", "-m", "timbrel")


@contextmanager
def started(folder: Path, *words: str, **streams) -> "Iterator[subprocess.Popen[str]]":
    """`timbrel` with `words` in `folder`, a session of its own as in a terminal, and gone after."""
    environment = os.environ | {"TIMBREL_CACHE": str(folder / "cache")}
    process = subprocess.Popen(
        [*TIMBREL, *words],
        cwd=folder,
        env=environment,
        start_new_session=True,
        encoding="utf-8",
        **streams,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_table_of_any_names_on_any_terminal(recordings: Path, tmp_path: Path):
    (tmp_path / "data").mkdir()
    for name, file in zip(
        (b"k\xff.wav", "日本 🥁.wav".encode()), recordings.iterdir(), strict=False
    ):
        os.link(file, os.path.join(os.fsencode(tmp_path / "data"), name))
    bare = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    words = [
        "inspect",
        "data.root=data",
        "report=page.html",
        "attributes=false",
        "output=files.csv",
    ]
    done = subprocess.run(
        [*TIMBREL, *words], cwd=tmp_path, env=os.environ | bare, capture_output=True
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"k\udcff.wav" in done.stdout
    assert (tmp_path / "page.html").exists()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_training_goes_on_without_its_messages(recordings: Path, tmp_path: Path):
    """With its terminal closed and its output unread it ends with status 0 and all its files."""
    reader, writer = os.pipe()
    master, terminal = os.openpty()
    os.close(master)
    words = ["train", f"data.root={recordings}", *TINY, "trainer.max_steps=6", "hydra.run.dir=run"]
    with started(tmp_path, *words, stdout=terminal, stderr=writer) as process:
        os.close(writer)
        os.close(terminal)
        assert os.read(reader, 1)
        os.close(reader)
        assert process.wait() == 0
    made = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"last.ckpt", "best.ckpt", "model", "evaluation", "report.html"} <= made


@pytest.fixture(scope="module")
def long_recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recordings whose scan takes seconds."""
    folder = tmp_path_factory.mktemp("long")
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (48_000 * 120, 2)).astype(np.float32)
    for number in range(2):
        soundfile.write(folder / f"{number}.wav", np.roll(noise, number, axis=0), 48_000)
    return folder


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "number",
    [signal.SIGINT, signal.SIGTERM, pytest.param(signal.SIGHUP, marks=pytest.mark.slow)],
)
def test_stopped_amid_the_scan(long_recordings: Path, tmp_path: Path, number: signal.Signals):
    """One line, the signal's status, and no process left behind."""
    words = ["inspect", f"data.root={long_recordings}"]
    with started(tmp_path, *words, stderr=subprocess.PIPE) as process:
        while not (workers := psutil.Process(process.pid).children(recursive=True)):
            time.sleep(0.01)
        time.sleep(0.3)
        os.killpg(process.pid, number)  # as a terminal does
        os.killpg(process.pid, number)  # `timeout`, a shell and the kernel may send it twice
        _, told = process.communicate()
    assert process.returncode == 128 + number
    assert told == "\ntimbrel inspect: stopped; the same command begins again\n"
    assert not [worker for worker in workers if worker.is_running()]


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("phase", ["augmentation: ", "step 1/", "trained "])
def test_a_training_stopped_anywhere_says_how_to_go_on(
    recordings: Path, tmp_path: Path, phase: str, number: signal.Signals
):
    expansion = ["augmentation=strong", "augmentation.expansion=200"] * (phase == "augmentation: ")
    steps = "trainer.max_steps=4" if phase == "trained " else "trainer.max_steps=4000"
    words = ["train", f"data.root={recordings}", *TINY, steps, *expansion, "hydra.run.dir=run"]
    with started(tmp_path, *words, "device.workers=2", stderr=subprocess.PIPE) as process:
        assert any(line.startswith(phase) for line in process.stderr)
        children = psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, number)
        told = process.stderr.read()
        assert process.wait() == 128 + number
    assert told.endswith("\ntimbrel train: stopped; to go on: timbrel train run=run\n")
    assert "Traceback" not in told
    assert "Exception ignored" not in told
    assert not [child for child in children if child.is_running()]
