"""`timbrel ablate`: mistakes before anything runs, and real trainings from grid to page."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from launchers import needs_launcher
from report_pages import Page
from stages.training_jobs import TINY
from timbrel import cli
from timbrel.commands import ablate_launchers
from timbrel.commands.completion import candidates
from timbrel.runs.folder import read_run
from timbrel.sweeps import runner, step_time


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return tmp_path


def write_study(recordings: Path, axes: dict, seeds: tuple[int, ...] = (0,), **base) -> None:
    """`experiments/tiny`: two steps on six tones, two of which are held out for every seed."""
    settings = {key: yaml.safe_load(value) for key, _, value in (t.partition("=") for t in TINY)}
    settings |= {"trainer.max_steps": 2, "trainer.checkpoint_every_steps": 1, **base}
    settings |= {"data.root": str(recordings), "data.split_file": "lists.json"}
    names = [f"tone_{i}.wav" for i in range(6)]
    Path("lists.json").write_text(json.dumps({"train": names[:4], "test": names[4:]}))
    study = {
        "question": "Does it matter?",
        "base": {key: value for key, value in settings.items() if key not in axes},
        "axes": axes,
        "seeds": list(seeds),
        "metrics": ["mrstft", "si_sdr_db"],
    }
    folder = Path("experiments/tiny")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "study.yaml").write_text(yaml.safe_dump(study, sort_keys=False))


def records() -> dict[str, int]:
    """When each run's record was last written, by folder."""
    return {
        str(file.parent.relative_to("sweeps/tiny")): file.stat().st_mtime_ns
        for file in Path("sweeps/tiny").glob("*/seed*/cell.json")
    }


LEAN = """
import sys
sys.path.insert(0, {tests!r})
import pytest
from stages.training_jobs import lean
lean(pytest.MonkeyPatch())
from timbrel.cli import main
sys.exit(main(["train", *sys.argv[1:]]))
"""


@pytest.fixture
def _lean(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`timbrel train` without what the study does not read: each run's own page above all."""
    (here / "train.py").write_text(LEAN.format(tests=str(Path(__file__).parents[1])))
    for module in (runner, step_time):
        monkeypatch.setattr(module, "TRAIN", (sys.executable, str(here / "train.py")))


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("_lean")
def test_one_cell_fails_with_its_reason_the_rest_finishes_and_is_not_repeated(
    here, recordings, capfd
) -> None:
    # Three blocks reach 99 samples of a chunk; a kernel of 4001 frames reaches beyond it.
    write_study(recordings, {"architecture.encoder.kernel_frames": [7, 4001]})
    assert cli.main(["ablate", "study=tiny", "--plan"]) == 0
    assert "2 to go" in capfd.readouterr().out
    assert not Path("sweeps").exists()

    assert cli.main(["ablate", "study=tiny"]) == 1
    shown = capfd.readouterr()
    reason = "receptive field of"
    assert "(a step takes 0." in shown.err
    assert "kernel_frames=4001 seed=0: failed after" in shown.err
    assert reason in shown.err
    run = read_run(Path("sweeps/tiny/kernel_frames-7/seed0"))
    assert (run.config["name"], run.config["seed"]) == ("kernel_frames-7", 0)
    assert run.config["logger"]["group"] == "tiny"
    readme = Path("experiments/tiny/README.md").read_text()
    assert "timbrel ablate study=tiny" in readme
    assert reason in readme
    page = Page(Path("sweeps/tiny/report.html").read_text())
    assert sum(tag == "audio" for tag, _ in page.tags) == 2 * 2
    assert reason in page.html

    write_study(recordings, {"architecture.encoder.kernel_frames": [7]})
    before = records()
    assert cli.main(["ablate", "study=tiny"]) == 0
    assert reason not in Path("experiments/tiny/README.md").read_text()
    program = (
        "import sys; from timbrel import cli; status = cli.main(['ablate', 'study=tiny']); "
        "known = {'torch', 'lightning', 'matplotlib', 'scipy', 'hydra', 'omegaconf'}; "
        "heavy = known & set(sys.modules); "
        "sys.exit(f'imports {heavy}' if heavy else status)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "all finished" in done.stdout
    assert records() == before


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("launcher", ["basic", "joblib", "submitit_local", "ray"])
def test_a_launcher_of_hydras_does_as_processes_do(
    here, recordings, capfd, monkeypatch, launcher
) -> None:
    needs_launcher(launcher)
    (here / "it's, here").mkdir()
    monkeypatch.chdir(here / "it's, here")
    write_study(recordings, {"architecture.encoder.kernel_frames": [7, 4001]}, seeds=(0, 1))
    jobs = [] if launcher == "basic" else ["jobs=2"]
    assert cli.main(["ablate", "study=tiny", f"launcher={launcher}", *jobs]) == 1
    shown = capfd.readouterr().err
    assert f"launcher {launcher}: 4 runs" in shown
    assert "kernel_frames=4001 seed=1: failed after" in shown
    assert "receptive field of" in shown
    assert len(records()) == 4
    assert not list(Path("sweeps/tiny/.launcher").glob("*.runs"))
    write_study(recordings, {"architecture.encoder.kernel_frames": [7]}, seeds=(0, 1))
    before = records()
    assert cli.main(["ablate", "study=tiny"]) == 0  # by processes: there is nothing left to do
    assert records() == before


def test_a_launcher_that_is_not_there_is_named_with_those_that_are(here, recordings, capfd) -> None:
    write_study(recordings, {"architecture.latent_dim": [2]})
    assert cli.main(["ablate", "study=tiny", "launcher=jobblib"]) == 2
    said = capfd.readouterr().err
    assert "launcher=jobblib: not installed; there are process, basic, joblib" in said
    assert "did you mean 'joblib'" in said
    assert cli.main(["ablate", "study=tiny", "launcher=basic", "jobs=2"]) == 2
    assert "launcher=basic runs one at a time" in capfd.readouterr().err


def test_how_many_run_at_a_time_and_share_a_machine(tmp_path: Path) -> None:
    """A cluster's queue has a limit of its own, and machines; here the jobs share the cores."""
    needs_launcher("submitit_local")
    with ablate_launchers._hydra(tmp_path) as hydra:
        for name, limits, together in (
            ("submitit_slurm", {"array_parallelism": 3}, 1),
            ("submitit_local", {}, 3),
            ("basic", {}, 1),
        ):
            jobs = 1 if name == "basic" else 3
            config = ablate_launchers._composed(hydra, name, jobs, tmp_path)
            found = {key: config.hydra.launcher[key] for key in ablate_launchers._limits(config)}
            assert (found, ablate_launchers._of_a_machine(config, jobs)) == (limits, together)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_deleted_cell_runs_alone(here, recordings) -> None:
    write_study(recordings, {"architecture.latent_dim": [2, 4]}, seeds=(0, 1))
    assert cli.main(["ablate", "study=tiny", "jobs=2"]) == 0
    first = records()
    assert len(first) == 4
    shutil.rmtree("sweeps/tiny/latent_dim-4")
    assert cli.main(["ablate", "study=tiny"]) == 0
    again = records()
    assert {name for name in again if again[name] != first[name]} == {
        "latent_dim-4/seed0",
        "latent_dim-4/seed1",
    }


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_it_goes_on_where_it_was_and_repeats_no_finished_cell(here, recordings) -> None:
    write_study(recordings, {"architecture.latent_dim": [2, 4]}, **{"trainer.max_steps": 12})
    killed = subprocess.Popen(
        [sys.executable, "-m", "timbrel.cli", "ablate", "study=tiny"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    second = Path("sweeps/tiny/latent_dim-4/seed0")
    try:
        deadline_s = time.monotonic() + 600
        while not (second / "last.ckpt").exists():
            assert time.monotonic() < deadline_s
            time.sleep(0.02)
    finally:
        os.killpg(killed.pid, signal.SIGKILL)
        killed.wait()
    before = records()
    assert cli.main(["ablate", "study=tiny"]) == 0
    after = records()
    assert [name for name in after if after[name] != before[name]] == ["latent_dim-4/seed0"]
    assert "resuming after step" in (second / "output.log").read_text()
    steps = [step for step, _ in read_run(second).curves["train/loss"]]
    assert steps == list(range(1, 13))


@pytest.mark.parametrize(
    ("axes", "words", "message"),
    [
        ({"architecture.latnt_dim": [2]}, [], "architecture.latnt_dim: no such key"),
        ({"architecture.latnt_dim": [2]}, [], "did you mean 'architecture.latent_dim'"),
        ({"architecture": ["spectral_small", "rvae"]}, [], "architecture=rvae: architecture=rvae"),
        ({"trainer.max_steps": [2, -1]}, [], "max_steps=-1: trainer.max_steps=-1: 1 or more"),
        ({"trainer.max_steps": [2, "two"]}, [], "expected a whole number or null"),
        ({"architecture.latent_dim": [2]}, ["architecture.latent_dim=3"], "an axis of tiny"),
        ({"architecture.latent_dim": [2]}, ["seed=3"], "seed: every run has its own"),
        ({"architecture.latent_dim": [2]}, ["jobs=0"], "jobs=0: a whole number from 1"),
        ({"architecture.latent_dim": [2]}, ["jobs=\u00b2"], "a whole number from 1"),
        ({"architecture.latent_dim": [2]}, ["hydra/launcher=joblib"], "write launcher=joblib"),
        ({"architecture.latent_dim": [2]}, ["hydra.launcher.n_jobs=2"], "every run has its own"),
        ({"architecture.latent_dim": [2]}, ["launcher=slurm"], "not installed; there are process"),
        ({"architecture.latent_dim": [2]}, ["--pan"], "did you mean '--plan'"),
        ({"architecture.latent_dim": [2]}, ["plan=yes"], "plan=yes: true or false"),
        ({"architecture.latent_dim": [2]}, ["trainer.max_step=3"], "mean 'trainer.max_steps'"),
    ],
)
def test_mistakes_are_told_before_anything_runs(
    here, recordings, capfd, axes, words, message
) -> None:
    write_study(recordings, axes)
    assert cli.main(["ablate", "study=tiny", *words]) == 2
    assert message in capfd.readouterr().err
    assert not Path("sweeps").exists()


def test_help_and_completion_know_it(here, recordings, capsys) -> None:
    write_study(recordings, {"architecture.latent_dim": [2]})
    for words in (["ablate"], ["ablate", "--help"], ["help", "ablate"]):
        assert cli.main(words) == 0
        names = capsys.readouterr().out.partition("there are: ")[2].partition("\n")[0].split(", ")
        assert {"architectures", "tiny"} <= set(names)
    assert cli.main(["ablate", "tiny"]) == 2
    assert "did you mean 'study=tiny'?" in capsys.readouterr().err
    assert candidates("timbrel ablate stu") == ["study="]
    assert candidates("timbrel ablate study=ti") == ["study=tiny"]
    assert candidates("timbrel ablate study=tiny --p") == ["--plan"]
    assert candidates("timbrel ablate study=tiny trainer.max_s") == ["trainer.max_steps="]
