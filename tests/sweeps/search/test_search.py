"""The search: totals, failures, workers that die or share a study, constraints."""

import math
import multiprocessing
import os
import signal
import sqlite3
import time
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from sweeps.search.synthetic import LOSS, RANDOM, every, goals, join, launch, value, work
from timbrel.errors import UserError
from timbrel.report.page import write_page
from timbrel.sweeps.search import page, workers
from timbrel.sweeps.search.goals import constraint
from timbrel.sweeps.search.note import Ending, TrialNote
from timbrel.sweeps.search.results import best, front, tried
from timbrel.sweeps.search.search import counts, search
from timbrel.sweeps.search.space import Choice, Draw, Space
from timbrel.sweeps.search.store import join_study, made, open_storage
from timbrel.sweeps.search.workers import is_alive, release, sign_of

FORK = multiprocessing.get_context("fork")


def complete(study) -> list:
    return study.get_trials(states=(TrialState.COMPLETE,))


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_total_counts_what_the_study_has(tmp_path: Path) -> None:
    work(tmp_path / "j", 3)
    work(tmp_path / "j", 5)
    work(tmp_path / "j", 4)
    study = join(tmp_path / "j")
    found = complete(study)
    assert len(found) == len(study.trials) == 5
    assert len({trial.params["x"] for trial in found}) == 5
    for trial in found:
        assert trial.value == abs(trial.params["x"] - 0.3)


@pytest.mark.parametrize("kind", ["journal", "database"])
def test_a_result_waits_for_a_storage_out_of_reach(tmp_path: Path, kind: str) -> None:
    place, away = tmp_path / "s", tmp_path / "away"
    told = []

    def rename(old: str, new: str) -> None:
        with sqlite3.connect(place) as tables:
            tables.execute(f"ALTER TABLE {old} RENAME TO {new}")

    def lose() -> None:
        rename("trials", "away") if kind == "database" else place.rename(away)

    def hear(line: str) -> None:
        told.append(line)
        if "out of reach" in line:
            rename("away", "trials") if kind == "database" else away.rename(place)

    address = f"sqlite:///{place}" if kind == "database" else place
    search(join(address), goals(3, dead_after_s=10.0), every(2, lose), hear)
    assert len(complete(join(address))) == 3
    (waits,) = [line for line in told if "out of reach" in line]
    assert waits.startswith("trial 1: the storage is out of reach (")


def test_a_result_whose_answer_is_lost_counts_as_recorded(tmp_path: Path) -> None:
    study, told = join(tmp_path / "j"), []
    tell = study.tell

    def lose_the_answer(*args, **values):
        study.tell = tell
        tell(*args, **values)
        raise OSError("the connection is gone")

    study.tell = lose_the_answer
    search(study, goals(2, dead_after_s=1.0), launch, told.append)
    assert len(complete(study)) == 2
    first = [line for line in told if line.startswith("trial 0: ")]
    assert "out of reach (the connection is gone" in first[0]
    assert first[1].startswith("trial 0: validation/loss ")


def test_a_failure_is_kept_with_its_reason_and_the_rest_goes_on(tmp_path: Path) -> None:
    def failing(batch):
        if batch[0].number == 1:
            return [Ending({}, failed="out of memory")]
        if batch[0].number == 2:
            return [Ending({"validation/loss": math.nan})]
        return launch(batch)

    work(tmp_path / "j", 4, failing)
    trials = tried(join(tmp_path / "j"), goals(4))
    assert [(trial.state, trial.reason) for trial in trials] == [
        ("complete", ""),
        ("failed", "out of memory"),
        ("failed", "no finite validation/loss"),
        ("complete", ""),
    ]


def test_killed_and_resumed_it_has_exactly_the_trials_asked_for(tmp_path: Path) -> None:
    worker = FORK.Process(target=work, args=(tmp_path / "j", 5, every(3, die)))
    worker.start()
    worker.join()
    assert worker.exitcode == -signal.SIGKILL
    study = join(tmp_path / "j")
    (lost,) = study.get_trials(states=(TrialState.RUNNING,))
    assert len(complete(study)) == 2

    work(tmp_path / "j", 5)
    study = join(tmp_path / "j")
    found = complete(study)
    assert len(found) == 5
    drawn = [trial.params["x"] for trial in found]
    assert len(set(drawn)) == 5
    assert lost.params["x"] in drawn
    (failed,) = study.get_trials(states=(TrialState.FAIL,))
    assert failed.number == lost.number
    assert "worker is gone" in failed.user_attrs["reason"]
    assert [trial.state for trial in tried(study, goals(5))] == ["complete"] * 5


@pytest.mark.parametrize("moment", ["ask", "suggest_float", "enqueue_trial"])
def test_a_worker_killed_at_any_moment_loses_no_values(tmp_path: Path, moment: str) -> None:
    """A queued trial before it is asked for, before it has drawn, and while it is queued again."""

    def dying() -> None:
        kind = optuna.Trial if moment == "suggest_float" else optuna.Study
        setattr(kind, moment, lambda *_, **__: die())
        work(tmp_path / "j", 3)

    join(tmp_path / "j").enqueue_trial({"x": 0.75})
    if moment == "enqueue_trial":
        mortal = FORK.Process(target=work, args=(tmp_path / "j", 3, every(1, die)))
        mortal.start()
        mortal.join()
    worker = FORK.Process(target=dying)
    worker.start()
    worker.join()
    assert worker.exitcode == -signal.SIGKILL

    study = join(tmp_path / "j")
    later = time.time() + 60
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers.time, "time", lambda: later)  # the unsigned trial is no longer young
        work(tmp_path / "j", 3)
    drawn = [trial.params["x"] for trial in complete(study)]
    assert len(drawn) == len(set(drawn)) == 3
    assert 0.75 in drawn
    lost = [t.number for t in study.trials if t.state == TrialState.FAIL]
    assert lost == ([] if moment == "ask" else [0])


def test_what_ends_its_worker_three_times_is_given_up(tmp_path: Path) -> None:
    for _ in range(3):
        worker = FORK.Process(target=work, args=(tmp_path / "j", 2, every(1, die)))
        worker.start()
        worker.join()
    work(tmp_path / "j", 2)
    trials = tried(join(tmp_path / "j"), goals(2))
    assert [trial.state for trial in trials] == ["failed", "complete"]
    assert trials[0].reason == "its worker is gone (killed, or its machine is), 3 times"


def test_workers_at_the_same_time_share_the_total_and_no_draw(tmp_path: Path) -> None:
    crew = [FORK.Process(target=work, args=(tmp_path / "j", 12)) for _ in range(2)]
    for worker in crew:
        worker.start()
    for worker in crew:
        worker.join()
        assert worker.exitcode == 0
    drawn = [trial.params["x"] for trial in complete(join(tmp_path / "j"))]
    assert len(drawn) == len(set(drawn)) == 12


def test_ctrl_c_queues_the_trials_at_work(tmp_path: Path) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    study = join(tmp_path / "j")
    with pytest.raises(KeyboardInterrupt):
        search(study, goals(6, at_once=2), every(2, stop), lambda line: None)
    states = [trial.state.name for trial in study.trials]
    assert states == ["COMPLETE"] * 2 + ["FAIL"] * 2 + ["WAITING"] * 2
    queued = [trial.system_attrs["fixed_params"] for trial in study.trials[4:]]
    assert queued == [trial.params for trial in study.trials[2:4]]
    assert sum(map(counts, study.trials)) == 2


def test_a_sign_of_life() -> None:
    own = sign_of()
    assert is_alive(own, limit_s=0.0)
    assert not is_alive(own | {"born": own["born"] - 100}, limit_s=1e9)  # its number is another's
    assert not is_alive(own | {"pid": 2**22 + 1}, limit_s=1e9)
    elsewhere = own | {"place": "another machine", "seen": 1000.0}
    assert is_alive(elsewhere, limit_s=60, now_s=1059.0)
    assert not is_alive(elsewhere, limit_s=60, now_s=1061.0)
    assert not is_alive(None, limit_s=60)


def test_a_trial_that_another_worker_gave_up_is_not_recorded(tmp_path: Path) -> None:
    told: list[str] = []
    study = join(tmp_path / "j")

    def slow(batch):
        other = join(tmp_path / "j")
        if batch[0].number == 0:
            assert release(other, other.trials[0], "no sign")
            assert not release(other, other.trials[0], "no sign")
        return launch(batch)

    search(study, goals(1), slow, told.append)
    assert "given up by another worker" in told[0]
    assert [trial.state.name for trial in study.trials] == ["FAIL", "COMPLETE"]
    assert study.trials[0].params == study.trials[1].params


def test_a_constraint_keeps_a_trial_from_being_the_best(tmp_path: Path) -> None:
    aims = goals(8, constraints=(constraint("model/parameters <= 60"),))

    def costly(batch):
        cost = 100 * float(batch[0].overrides["x"])
        numbers = value(batch[0]).numbers
        return [Ending({**numbers, "model/parameters": cost})]

    study = join(tmp_path / "j")
    search(study, aims, costly, lambda line: None)
    trials = tried(study, aims)
    for trial in trials:
        assert bool(trial.broken) == (trial.params["x"] > 0.6)
    kept = [trial.values[0] for trial in trials if trial.params["x"] <= 0.6]
    assert 0 < len(kept) < 8
    assert best(trials, aims.objectives)[0].values[0] == min(kept)
    assert study.best_trial.params["x"] <= 0.6  # Optuna knows of it too


def test_the_page_of_a_slow_writer_is_no_older_than_that_of_another(
    tmp_path: Path, monkeypatch
) -> None:
    study = join(tmp_path / "j")
    search(study, goals(2), launch, lambda line: None)
    last = study.ask()
    goals(3).space.drawn(last)

    def slowly(file: Path, html: str) -> None:
        """The other worker ends its trial, and writes its page first."""
        if study.trials[2].state == TrialState.RUNNING:
            last.set_user_attr("numbers", {"validation/loss": 1.0})
            study.tell(last, 1.0)
        write_page(file, html)

    monkeypatch.setattr(page, "write_page", slowly)
    found = page.write_search_page(study, goals(3), tmp_path, "again", [])
    assert found.complete == 3
    assert "3 of 3 trials (3 complete)" in (tmp_path / "report.html").read_text()


def test_the_same_values_are_trained_once(tmp_path: Path) -> None:
    space = Space((Draw("x", Choice(("0.1", "0.2"))),))
    trained = []

    def once(batch):
        trained.extend(drawn.overrides["x"] for drawn in batch)
        return launch(batch)

    study = join(tmp_path / "j")
    search(study, goals(9, space=space, at_once=1), once, lambda line: None)
    assert sorted(trained) == ["0.1", "0.2"]
    assert len(complete(study)) == 9
    trials = tried(study, goals(9, space=space))
    assert [trial.label for trial in best(trials, (LOSS,))] == ["x=0.2", "x=0.1"]
    assert len({trial.values for trial in trials}) == 2


def test_the_front_of_two_objectives(tmp_path: Path) -> None:
    trial = tried_one(tmp_path)
    two = (LOSS, replace(LOSS, name="model/real_time", direction="maximize"))
    points = [(1.0, 1.0), (2.0, 3.0), (3.0, 2.0), (1.0, 0.5), (4.0, 9.0), (2.0, 3.0)]
    trials = [replace(trial, number=n, values=point) for n, point in enumerate(points)]
    assert [trial.number for trial in front(trials, two)] == [0, 1, 4]


def tried_one(folder: Path):
    work(folder / "one", 1)
    return tried(join(folder / "one"), goals(1))[0]


def test_a_study_of_other_objectives_is_refused(tmp_path: Path) -> None:
    work(tmp_path / "j", 1)
    with pytest.raises(UserError, match="has the directions minimize, not maximize"):
        join(tmp_path / "j", directions=("maximize",))


def test_a_database_is_shared_too(tmp_path: Path) -> None:
    place = f"sqlite:///{tmp_path / 's.db'}"
    studies = [
        join_study(open_storage(place), "s", ["minimize"], sampler=made(RANDOM, "sampler"))
        for _ in range(2)
    ]
    assert [founded for _, founded in studies] == [True, False]
    for n_trials, (study, _) in zip((2, 4), studies, strict=True):
        search(study, goals(n_trials), launch, lambda line: None)
    assert len({trial.params["x"] for trial in complete(studies[0][0])}) == 4


def test_a_worker_that_has_not_signed_yet_is_left_alone(tmp_path: Path, monkeypatch) -> None:
    study = join(tmp_path / "j")
    study.ask()
    assert workers.release_dead(study, limit_s=0.0) == []
    later = workers.time.time() + 60
    monkeypatch.setattr(workers.time, "time", lambda: later)
    assert workers.release_dead(study, limit_s=0.0) == [0]


def test_a_note_survives_the_environment() -> None:
    note = TrialNote("it's ${here}.log", "s", 3, ("validation/loss",), "validation/loss", RANDOM)
    assert TrialNote.of({"TIMBREL_TRIAL": note.text()}) == note
    assert TrialNote.of({}) is None
