"""A run whose files were damaged, lost or cannot be written: one sentence, and a way on."""

import os
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from stages.training_jobs import TINY, hold, lean, start, warm_context
from timbrel import cli
from timbrel.errors import UserError
from timbrel.runs import selection
from timbrel.runs.folder import read_metrics
from timbrel.stages.run_folders import saved_config
from timbrel.training.checkpoint import read_checkpoint, resume_step
from timbrel.training.in_use import only_training
from timbrel.training.provenance import check_same_data

STEPS = 10
# Steps so small that no weight moves: all losses are equal, and `first_of_equals` keeps step 7.
STILL = (f"trainer.max_steps={STEPS}", "trainer.learning_rate=1e-30")


def first_of_equals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep weights only where their loss is lower, so that the best step is not the last."""
    monkeypatch.setattr(selection, "_OF_ONE", -1e-9)


@pytest.fixture(scope="module")
def trained(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run whose best step is not its last."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(folder)
        lean(monkeypatch)
        first_of_equals(monkeypatch)
        words = [f"data.root={recordings}", "hydra.run.dir=run", *TINY, *STILL]
        assert cli.main(["train", *words]) == 0
    return folder / "run"


@pytest.fixture
def run(trained: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, `run` in the working folder."""
    lean(monkeypatch)
    first_of_equals(monkeypatch)
    shutil.copytree(trained, "run")
    return Path("run")


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """The one sentence in which a command is refused, below what it has told of its data."""

    def refused(*words: str) -> str:
        capsys.readouterr()
        assert cli.main(list(words)) == 2
        said = capsys.readouterr().err.strip().splitlines()
        assert [line for line in said if line.startswith("timbrel ")] == said[-1:]
        return said[-1]

    return refused


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def of_another_model(path: Path) -> None:
    found = torch.load(path, weights_only=True)
    found["state_dict"].popitem()
    torch.save(found, path)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda path: path.write_bytes(b""), "it is empty"),
    "cut": (lambda path: os.truncate(path, 200_000), "cut short"),
    "junk": (lambda path: path.write_bytes(b"hello" * 1000), "no checkpoint"),
    "flipped": (flipped, "is not what was written"),
    "other keys": (lambda path: torch.save({"a": 1}, path), "no checkpoint of a training run"),
    "other model": (of_another_model, "of another model: lacks"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_told_with_the_way_on(run: Path, damage: str) -> None:
    hurt, words = DAMAGES[damage]
    weights = read_checkpoint(run / "last.ckpt")["state_dict"]
    hurt(run / "last.ckpt")
    with pytest.raises(UserError) as error:
        resume_step(run, weights)
    assert re.match(f"'run/last.ckpt' is damaged: .*{words}", str(error.value))
    assert str(error.value).endswith(
        "run/best.ckpt is whole, of step 7; to go on from there: "
        "rm run/last.ckpt && timbrel train run=run"
    )
    hurt(run / "best.ckpt")
    with pytest.raises(UserError) as error:
        resume_step(run, weights)
    assert str(error.value).endswith(
        "no checkpoint of the run is whole; to train it from its first step again: "
        "rm run/last.ckpt run/best.ckpt && timbrel train run=run"
    )


def rows(run: Path) -> list[str]:
    lines = (run / "metrics.csv").read_text().splitlines()
    return [line for line in lines if ",train/elapsed_s," not in line]


def test_from_the_best_checkpoint_a_run_repeats_its_curve(
    run: Path, trained: Path, told: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    os.truncate(run / "last.ckpt", 200_000)
    assert told("train", "run=run").endswith("rm run/last.ckpt && timbrel train run=run")
    (run / "last.ckpt").unlink()
    assert cli.main(["train", "run=run"]) == 0
    assert "resuming after step 7" in capsys.readouterr().err
    assert rows(run) == rows(trained)
    for name in ("weights.safetensors", "latents.safetensors"):
        assert (run / "model" / name).read_bytes() == (trained / "model" / name).read_bytes()


def test_a_lost_best_checkpoint_costs_its_weights_alone(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flipped(run / "best.ckpt")
    assert cli.main(["train", "run=run"]) == 0
    assert "the weights of step 7, the best so far, are lost" in capsys.readouterr().err


def test_without_checkpoints_a_finished_run_is_not_trained_anew(
    run: Path, told: Callable[..., str]
) -> None:
    card = run / "model" / "card.json"
    card.rename("card.json")
    assert "'run/model' is not empty and no model" in told("train", "run=run")
    Path("card.json").rename(card)
    for name in ("last.ckpt", "best.ckpt"):
        (run / name).unlink()
    assert told("train", "run=run").endswith("timbrel train init_from=run ...")


@pytest.mark.parametrize("content", [b"", b"\x80{]: \n\tx", b"[1, 2]\n", b"null\n", None])
def test_a_damaged_description_is_named(run: Path, content: bytes | None) -> None:
    for name in ("config.yaml", "run.json"):
        (run / name).unlink()
        if content is not None:
            (run / name).write_bytes(content)
    with pytest.raises(UserError, match=r"'run/config.yaml' (is damaged|cannot be read)"):
        saved_config(run)
    with pytest.raises(UserError, match=r"'run/run.json' cannot be read .*; put the file back"):
        check_same_data(run, "aa" * 16)


def test_a_cut_config_does_not_go_on_with_defaults(run: Path, told: Callable[..., str]) -> None:
    lines = (run / "config.yaml").read_text().splitlines(keepends=True)
    (run / "config.yaml").write_text("".join(lines[: len(lines) // 2]))
    assert "'run/config.yaml' is damaged: it lacks " in told("train", "run=run")


def test_a_damaged_table_is_named_and_can_be_moved_away(
    run: Path, told: Callable[..., str]
) -> None:
    table = run / "metrics.csv"
    table.write_bytes(table.read_bytes().replace(b"\n5,", b"\nx,", 1))
    assert "'run/metrics.csv' is damaged" in told("train", "run=run")
    table.unlink()
    assert cli.main(["train", "run=run"]) == 0
    assert read_metrics(table) == {}
    assert cli.main(["evaluate", "run=run", "device=cpu", "evaluate.generated_clips=0"]) == 0


READ_ONLY = """
import sys
from timbrel import cli
quick = ["device=cpu", "evaluate.parts=[test]", "evaluate.generated_clips=0"]
print(cli.main(["train", "run=run"]), file=sys.stderr)
print(cli.main(["evaluate", "run=run", *quick]), file=sys.stderr)
print(cli.main(["evaluate", "run=run", "output=scores", *quick]), file=sys.stderr)
"""


@pytest.mark.slow
def test_a_read_only_run_is_evaluated_elsewhere(run: Path) -> None:
    before = sorted(run.rglob("*"))
    shutil.rmtree(run / "evaluation" / "audio")
    command = [sys.executable, "-c", READ_ONLY]
    if os.geteuid() == 0:
        mounts = "mount --bind run run && mount -o remount,ro,bind run || exit 77"
        command = ["unshare", "-m", "bash", "-c", f'{mounts}; exec "$@"', "_", *command]
    else:
        run.chmod(0o555)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    run.chmod(0o755)
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(f"no mounts of its own here: {done.stderr.strip()}")
    said = done.stderr.splitlines()
    refused, way = r"'run' cannot be written: \S.*", r"output=FOLDER"
    assert re.fullmatch(f"timbrel train: {refused}; make room, or go on in a copy: .*", said[0])
    assert re.fullmatch(f"timbrel evaluate: {refused}; name another folder .*{way}", said[2])
    assert (said[1], said[3], said[-1]) == ("2", "2", "0")
    assert {"scores/evaluation/files.csv", "scores/report.html"} <= {
        str(path) for path in Path("scores").rglob("*")
    }
    assert set(run.rglob("*")) <= set(before)


@pytest.mark.slow
def test_a_disk_that_fills_up_keeps_what_was_learned(recordings: Path, tmp_path: Path) -> None:
    words = (f"data.root={recordings}", "hydra.run.dir=run", *TINY, "trainer.max_steps=100")
    context, log, run = warm_context(), tmp_path / "log", tmp_path / "run"
    process = start(context, tmp_path, *words, log=log)
    deadline_s = time.monotonic() + 120
    while not (run / "last.ckpt").exists() and time.monotonic() < deadline_s:
        time.sleep(0.002)
    assert process.pid is not None
    # Full for whatever is longer: checkpoints and sounds, but no line of a table.
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
    process.join()
    assert process.exitcode == 2
    last = log.read_text().splitlines()[-1]
    assert re.search(r"'run/(last|best).ckpt' cannot be written: File too large; ", last)
    step = resume_step(run)
    assert step is not None
    assert last.endswith(f"is kept up to step {step}; to go on: timbrel train run=run")
    assert not list(run.rglob("*.tmp"))


def test_a_run_is_trained_by_one_process_at_a_time(run: Path, told: Callable[..., str]) -> None:
    context = warm_context()
    held = context.Event()
    process = context.Process(target=hold, args=(str(run.absolute()), held))
    process.start()
    assert held.wait(60)
    sentence = told("train", "run=run")
    assert f"run=run: process {process.pid} on " in sentence
    assert sentence.endswith("is training it; wait for its end, or stop it first")
    process.kill()
    process.join()
    with only_training(run):  # a lock of the dead holds nobody back
        assert f"process {os.getpid()} " in (run / ".lock").read_text()
