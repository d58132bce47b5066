"""The runner with a stand-in for `timbrel train`: states, failures, kills, locks.

tests/commands/test_ablate.py runs the real one.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from timbrel.sweeps import runner
from timbrel.sweeps.plan import PlannedRun, estimate, plan_run, plan_text
from timbrel.sweeps.record import State, read_record, standing
from timbrel.sweeps.signature import FileDigests, Signing
from timbrel.sweeps.study import Study

# As `timbrel train`: takes its folder, says what it does, can fail, hang, and be resumed.
STAND_IN = """
import json, os, pathlib, sys, time
words = dict(word.split("=", 1) for word in sys.argv[1:])
folder = pathlib.Path(words.get("run") or words["hydra.run.dir"].strip("'"))
print("resuming" if "run" in words else "starting", flush=True)
behave = os.environ.get("BEHAVE_" + folder.parent.name.replace("-", "_"), "")
if behave == "refuse":
    sys.stderr.write("timbrel train: data: too few\\n  of them\\n")
    sys.exit(2)
if behave == "raise":
    raise RuntimeError("diverged at step 3")
if behave == "kill":
    os.kill(os.getpid(), 9)
if behave == "lines":
    raise RuntimeError("Error(s) in loading:\\n\\tsize mismatch")
(folder / "config.yaml").write_text("{}")
if behave == "kill late" and "run" not in words:
    os.kill(os.getpid(), 9)
if behave == "crash late":
    os.kill(os.getpid(), 11)
if behave == "hang" and "run" not in words:
    time.sleep(60)
(folder / "model").mkdir(exist_ok=True)
(folder / "model" / "card.json").write_text("{}")
(folder / "report.html").write_text("")
if behave == "last":
    (folder / "ready").write_text("")
    time.sleep(3)
"""
# As `timbrel analyze`: can refuse, and be killed.
ANALYSIS = """
import os, pathlib, sys
words = dict(word.split("=", 1) for word in sys.argv[1:])
folder = pathlib.Path(words["run"])
print("analysing", words["profile"], words["device.threads"], flush=True)
behave = os.environ.get("BEHAVE_ANALYSIS", "")
if behave == "refuse":
    sys.stderr.write("timbrel analyze: run: no sounds\\n")
    sys.exit(2)
if behave == "interrupt":
    os.kill(os.getpid(), 2)
(folder / "analysis").mkdir(exist_ok=True)
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text(STAND_IN)
    (tmp_path / "analyze.py").write_text(ANALYSIS)
    for name in ("TRAIN", "ANALYZE"):
        program = str(tmp_path / f"{name.lower()}.py")
        monkeypatch.setattr(runner, name, (sys.executable, program))
    return tmp_path


def study(budget_s: float | None = None, analyze: str | None = None) -> Study:
    axes, metrics = {"x": ("a", "b", "c")}, ("mrstft",)
    return Study("s", Path("study.yaml"), "Which?", {}, axes, (0, 1), metrics, budget_s, analyze)


def planned(
    width: int = 1,
    max_time: str | None = "60s",
    max_steps: int | None = None,
    analyze: str | None = None,
) -> list[PlannedRun]:
    limits = {"max_time": max_time, "max_steps": max_steps}
    config = {"data": {}, "width": width, "trainer": limits, "device": {"threads": 1}}
    grid = study(analyze=analyze)
    return [
        plan_run(grid, cell, seed, [], {**config, "seed": seed}, Signing(FileDigests(Path("none"))))
        for cell in grid.cells()
        for seed in grid.seeds
    ]


def launch(runs: list[PlannedRun], jobs: int = 1) -> dict[str, str]:
    told: dict[str, str] = {}
    left = [run for run in runs if run.standing.state is not State.finished]

    def ended(ending: runner.Ending) -> None:
        told[ending.run.label] = f"{ending.state} {ending.reason}".strip()

    runner.launch(left, study="s", jobs=jobs, tell=lambda line: None, ended=ended)
    return told


@pytest.mark.parametrize("jobs", [1, 3])
def test_every_run_runs_once(here, jobs) -> None:
    assert launch(planned(), jobs) == {
        f"x={x} seed={seed}": "finished" for x in "abc" for seed in (0, 1)
    }
    assert {run.standing.state for run in planned()} == {State.finished}
    assert launch(planned()) == {}
    assert Path("sweeps/s/x-a/seed0/output.log").read_text() == "starting\n"


def test_a_run_reaches_another_process_as_json(here) -> None:
    launch(planned()[:1])
    for run in planned(width=2, max_steps=3, analyze="quick"):
        found = PlannedRun.from_json(json.loads(json.dumps(run.to_json())))
        assert found == run
        assert found.cell.settings == run.cell.settings
        assert isinstance(found.standing.state, State)


def test_failures_are_told_and_alone_run_again(here, monkeypatch) -> None:
    monkeypatch.setenv("BEHAVE_x_a", "refuse")
    monkeypatch.setenv("BEHAVE_x_b", "raise")
    monkeypatch.setenv("BEHAVE_x_c", "kill")
    told = launch(planned())
    assert told["x=a seed=0"] == "failed data: too few of them"
    assert told["x=b seed=0"] == "failed RuntimeError: diverged at step 3"
    assert told["x=c seed=1"].startswith("failed killed by SIGKILL")
    text = plan_text(study(budget_s=60.0), planned(), 1)
    assert "x=b seed=0: failed: RuntimeError: diverged at step 3" in text
    assert "6 to go; about 9 min (its limit" in text
    assert "budget 1 min: too little" in text
    monkeypatch.setenv("BEHAVE_x_b", "")
    monkeypatch.setenv("BEHAVE_x_a", "")
    assert list(launch(planned()).values())[:4] == ["finished"] * 4
    states = [run.standing.state for run in planned()]
    assert states == [*[State.finished] * 4, *[State.failed] * 2]


def test_a_killed_training_is_told_and_goes_on_next_time(here, monkeypatch) -> None:
    monkeypatch.setenv("BEHAVE_x_a", "kill late")
    monkeypatch.setenv("BEHAVE_x_b", "crash late")
    told = launch(planned())
    assert told["x=a seed=0"] == "failed killed by SIGKILL: out of memory?"
    assert told["x=b seed=0"] == "failed killed by SIGSEGV"
    assert planned()[0].standing.state is State.failed
    monkeypatch.setenv("BEHAVE_x_b", "")
    assert list(launch(planned()).values()) == ["finished"] * 4
    log = "sweeps/s/x-{}/seed0/output.log"
    assert Path(log.format("a")).read_text() == "starting\nresuming\n"
    assert Path(log.format("b")).read_text() == "starting\n"  # its own fault: from the start


def test_an_error_of_several_lines_is_told_whole(here, monkeypatch) -> None:
    monkeypatch.setenv("BEHAVE_x_a", "lines")
    told = launch(planned())
    assert told["x=a seed=0"] == "failed RuntimeError: Error(s) in loading: size mismatch"


def test_what_fails_around_a_training_stops_no_other(here, monkeypatch) -> None:
    real = runner.sign

    def sign(config, digests):
        if config["seed"] == 1:
            raise OSError("no space left")
        return real(config, digests)

    monkeypatch.setattr(runner, "sign", sign)
    told = launch(planned())
    assert told["x=a seed=0"] == told["x=c seed=0"] == "finished"
    assert told["x=b seed=1"] == "failed OSError: no space left"


def test_another_config_runs_again_and_the_old_run_is_kept(here) -> None:
    launch(planned())
    runs = planned(width=2)
    assert {(r.standing.state, r.standing.reason) for r in runs} == {(State.changed, "config")}
    assert len(launch(runs)) == 6
    assert {run.standing.state for run in planned(width=2)} == {State.finished}
    assert len(list(Path("sweeps/s/earlier").glob("x-*_seed?_1/model/card.json"))) == 6


def test_every_model_is_analysed_once_by_each_profile(here) -> None:
    def some(profile: str) -> list[PlannedRun]:
        return planned(analyze=profile)[1:3]

    launch(planned()[1:2])
    assert set(launch(some("quick")).values()) == {"finished"}
    trained, analysed = Path("sweeps/s/x-a/seed1"), Path("sweeps/s/x-b/seed0")
    for folder in (trained, analysed):
        assert (folder / "output.log").read_text() == "starting\nanalysing quick 1\n"
    assert launch(some("quick")) == launch(planned()[1:3]) == {}
    (analysed / "model" / "weights.safetensors").write_text("another model")
    shutil.rmtree(trained / "analysis")
    assert {run.standing.state for run in some("quick")} == {State.to_analyze}
    assert [*launch(some("quick"))] == ["x=a seed=1", "x=b seed=0"]
    assert (analysed / "output.log").read_text() == "starting\n" + "analysing quick 1\n" * 2
    assert len(launch(some("full"))) == 2
    assert (trained / "output.log").read_text().endswith("quick 1\nanalysing full 1\n")


def test_an_analysis_that_fails_is_told_and_alone_made_again(here, monkeypatch) -> None:
    monkeypatch.setenv("BEHAVE_ANALYSIS", "refuse")
    told = launch(planned(analyze="quick")[:1])
    assert told == {"x=a seed=0": "failed its analysis: run: no sounds"}
    runs = planned(analyze="quick")
    assert (runs[0].standing.state, runs[0].standing.trained) == (State.failed, True)
    assert "x=a seed=0: failed: its analysis: run: no" in plan_text(study(), runs, 1)
    assert planned()[0].standing.state is State.finished
    monkeypatch.setenv("BEHAVE_ANALYSIS", "")
    assert launch(runs[:1]) == {"x=a seed=0": "finished"}
    assert Path("sweeps/s/x-a/seed0/output.log").read_text().count("starting") == 1


def test_an_analysis_that_was_interrupted_is_made_again(here, monkeypatch) -> None:
    monkeypatch.setenv("BEHAVE_ANALYSIS", "interrupt")
    with pytest.raises(KeyboardInterrupt):
        launch(planned(analyze="quick"))
    assert planned(analyze="quick")[0].standing.state is State.to_analyze
    monkeypatch.setenv("BEHAVE_ANALYSIS", "")
    run = planned(analyze="quick")[0]
    ending = runner.run_alone(run, study="s", jobs=1, tell=print)
    assert ending is not None
    assert ending.state is State.finished
    assert Path("sweeps/s/x-a/seed0/output.log").read_text().count("starting") == 1


def test_a_deleted_cell_runs_alone(here) -> None:
    launch(planned())
    shutil.rmtree("sweeps/s/x-b")
    assert launch(planned()) == {"x=b seed=0": "finished", "x=b seed=1": "finished"}


def test_a_folder_of_something_else_is_left_alone(here) -> None:
    Path("sweeps/s/x-b/seed0").mkdir(parents=True)
    Path("sweeps/s/x-b/seed0/.cell.json.half").write_text("{")  # a kill amid the first record
    assert planned()[2].standing.state is State.to_run
    Path("sweeps/s/x-a/seed0").mkdir(parents=True)
    Path("sweeps/s/x-a/seed0/notes.txt").write_text("mine")
    with pytest.raises(Exception, match="holds files of no run of this study"):
        planned()


PROGRAM = textwrap.dedent(
    """
    import signal, sys
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's `&` switches it off
    sys.path[:0] = {paths!r}
    from timbrel.sweeps import runner
    runner.TRAIN = (sys.executable, "train.py")
    from test_runner import launch, planned
    print(launch(planned()))
    """
)


def start(here: Path, **environment: str) -> "subprocess.Popen[str]":
    program = PROGRAM.format(paths=[str(Path(__file__).parent)])
    return subprocess.Popen(
        [sys.executable, "-c", program], cwd=here, env={**os.environ, **environment},
        stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def until(path: Path) -> None:
    deadline_s = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline_s, f"no {path}"
        time.sleep(0.01)


def test_killed_and_started_again_it_resumes_and_repeats_nothing(here) -> None:
    killed = start(here, BEHAVE_x_b="hang")
    until(here / "sweeps/s/x-b/seed0/config.yaml")
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    finished = read_record(here / "sweeps/s/x-a/seed0")
    states = [run.standing.state for run in planned()]
    assert states == [State.finished, State.finished, State.unfinished, *[State.to_run] * 3]
    told = launch(planned())
    assert list(told) == ["x=b seed=0", "x=b seed=1", "x=c seed=0", "x=c seed=1"]
    assert Path("sweeps/s/x-b/seed0/output.log").read_text() == "starting\nresuming\n"
    assert read_record(here / "sweeps/s/x-a/seed0") == finished
    resumed = read_record(here / "sweeps/s/x-b/seed0")
    assert resumed is not None
    assert (resumed.ended, resumed.seconds) == ("finished", None)


def test_a_training_that_outlives_its_runner_is_waited_for(here) -> None:
    killed = start(here, BEHAVE_x_a="hang")
    until(here / "sweeps/s/x-a/seed0/config.yaml")
    killed.kill()  # alone: the training goes on
    killed.wait()
    waits = start(here)
    time.sleep(1.0)
    assert waits.poll() is None
    assert Path("sweeps/s/x-a/seed0/output.log").read_text() == "starting\n"
    os.killpg(killed.pid, signal.SIGKILL)
    assert "'x=a seed=0': 'finished'" in waits.communicate(timeout=30)[0]
    assert Path("sweeps/s/x-a/seed0/output.log").read_text() == "starting\nresuming\n"


def test_a_training_that_ended_after_its_runner_is_not_repeated(here) -> None:
    killed = start(here, BEHAVE_x_a="last")
    until(here / "sweeps/s/x-a/seed0/ready")
    killed.kill()  # alone: nobody notes the training's end
    killed.communicate()
    told = launch(planned())
    assert told["x=b seed=0"] == "finished"
    assert Path("sweeps/s/x-a/seed0/output.log").read_text() == "starting\n"


def test_stopped_by_hand_it_stops_its_trainings_and_can_go_on(here) -> None:
    stopped = start(here, BEHAVE_x_a="hang")
    until(here / "sweeps/s/x-a/seed0/config.yaml")
    os.killpg(stopped.pid, signal.SIGINT)  # as Ctrl-C does
    stopped.communicate(timeout=30)
    assert stopped.returncode not in (0, None)
    record = read_record(here / "sweeps/s/x-a/seed0")
    assert record is not None
    assert record.ended == "interrupted"
    run = planned()[0]
    assert standing(run.folder, run.signature).state is State.unfinished


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_stop_that_python_dropped_ends_it_after_a_run(here, lose_a_stop) -> None:
    runs = planned()
    with pytest.raises(KeyboardInterrupt):
        runner.launch(runs, study="s", jobs=1, tell=print, ended=lambda _: lose_a_stop())
    assert standing(runs[0].folder, runs[0].signature).state is State.finished
    assert standing(runs[-1].folder, runs[-1].signature).state is not State.finished


def test_the_estimate_is_measured_where_it_can_be(here) -> None:
    assert estimate(planned(), 1).seconds == 6 * (60 + 30)
    assert estimate(planned(), 4).seconds == pytest.approx(2 * 90)  # 4 and 2
    assert "nan" not in plan_text(study(), planned(max_time=None), 1)
    assert "estimated when it starts" in plan_text(study(), planned(max_steps=100), 1)
    assert estimate(planned(max_steps=100), 1, 0.2).seconds == 6 * (20 + 30)
    assert estimate(planned(max_steps=1000), 1, 0.2).seconds == 6 * (60 + 30)
    launch(planned())
    shutil.rmtree("sweeps/s/x-b")
    found = estimate(planned(), 1)
    assert found.source == "measured"
    assert 0 < found.seconds < 20


def test_the_estimate_counts_analyses(here) -> None:
    assert estimate(planned(analyze="quick"), 1).seconds == 6 * (60 + 30 + 120)
    assert estimate(planned(analyze="full"), 1).analyses == "; analyses 1 h"
    steps = planned(max_time=None, max_steps=9, analyze="quick")
    assert "max_steps counts, not time; analyses 12 min" in plan_text(study(), steps, 1)
    launch(planned()[:2])
    found = estimate(planned(analyze="quick")[:2], 2)
    assert (found.seconds, found.source) == (120, "measured")
    launch(planned(analyze="quick")[:1])
    assert 0 < estimate(planned(analyze="quick")[:2], 1).seconds < 20
