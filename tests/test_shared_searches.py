"""Searches that two processes share and that lose their workers, in a journal and in PostgreSQL."""

import time
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

import postgres
from report_pages import Page
from stages.training_jobs import TINY, start, warm_context
from test_optuna_sweeper import RATE, SEARCH
from timbrel.sweeps.search.store import open_storage
from timbrel.sweeps.search.workers import REASON, WORKER

pytestmark = pytest.mark.slow

BRIEF = ("trainer.max_steps=8", "trainer.validate_every_steps=4", "callbacks.audio=false")


class Crew:
    """Workers of the search `s` in a folder, with the same command; `lost` is what a kill left."""

    def __init__(self, folder: Path, place: str, *words: str) -> None:
        self.folder, self.place, self.words = folder, place, words
        self.workers: list[BaseProcess] = []
        self.lost: dict[int, float | None] = {}
        self._context = warm_context()

    @property
    def study(self) -> optuna.Study:
        return optuna.load_study(study_name="s", storage=open_storage(self.place))

    def hire(self) -> BaseProcess:
        log = self.folder / f"worker_{len(self.workers)}.txt"
        worker = start(self._context, self.folder, *self.words, log=log)
        self.workers.append(worker)
        return worker

    def kill(self, *workers: BaseProcess) -> None:
        """With SIGKILL, at the same time; what they worked on is lost."""
        for worker in workers:
            worker.kill()
        for worker in workers:
            worker.join()
        gone = {worker.pid for worker in workers}
        running = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        left = [trial for trial in running if _pid(trial) in gone]
        assert len(left) == len(workers)
        self.lost |= {trial.number: _rate(trial) for trial in left}

    def works(self, worker: BaseProcess, *, trains: bool = False) -> bool:
        """Whether the worker has signed a trial; with `trains`, whether its training has begun."""
        assert worker.is_alive()
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if _pid(trial) == worker.pid:
                metrics = self.folder / "sweeps" / "s" / str(trial.number) / "metrics.csv"
                return metrics.exists() or not trains
        return False


def _pid(trial: FrozenTrial) -> int | None:
    return trial.user_attrs.get(WORKER, {}).get("pid")


def _rate(trial: FrozenTrial) -> float | None:
    """What it was to train with; None where it was killed before anything was drawn."""
    given = trial.system_attrs.get("fixed_params", {}) | trial.params
    return given.get("trainer.learning_rate")


def wait_for(happened: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 600.0
    while not happened():
        assert time.monotonic() < end_s
        time.sleep(0.02)


def complete(trials: list[FrozenTrial]) -> list[FrozenTrial]:
    return [trial for trial in trials if trial.state == TrialState.COMPLETE]


def check_whole(crew: Crew, n_trials: int) -> None:
    """Exactly so many complete trials, each of other values, those that were lost among them."""
    trials = crew.study.get_trials()
    assert {trial.state for trial in trials} <= {TrialState.COMPLETE, TrialState.FAIL}
    rates = [trial.params["trainer.learning_rate"] for trial in complete(trials)]
    assert len(rates) == len(set(rates)) == n_trials
    reasons = {t.number: t.user_attrs[REASON] for t in trials if t.state == TrialState.FAIL}
    gone = {number for number, reason in reasons.items() if "its worker is gone" in reason}
    assert gone == set(crew.lost)
    surplus = [reason for number, reason in reasons.items() if number not in gone]
    assert set(surplus) <= {"one more than asked for"}
    assert {rate for rate in crew.lost.values() if rate is not None} <= set(rates)
    for trial in complete(trials):
        assert (crew.folder / "sweeps" / "s" / str(trial.number) / "run.json").exists()
    page = Page((crew.folder / "sweeps" / "s" / "report.html").read_text())
    assert f"{n_trials} of {n_trials} trials ({n_trials} complete)" in page.words


def words_of(recordings: Path, n_trials: int) -> list[str]:
    brief = [*SEARCH, *TINY, *BRIEF, "data=folder", f"data.root={recordings}", RATE]
    return [*brief, f"hydra.sweeper.n_trials={n_trials}"]


def test_a_journal_survives_three_kills_of_its_workers(recordings: Path, tmp_path: Path) -> None:
    place = tmp_path / "sweeps" / "s" / "journal.log"
    crew = Crew(tmp_path, str(place), *words_of(recordings, 20))
    first, second = crew.hire(), crew.hire()
    wait_for((place.parent / "multirun.yaml").exists)
    wait_for(lambda: crew.works(first, trains=True))
    crew.kill(first)
    first = crew.hire()
    wait_for(lambda: crew.works(second))
    crew.kill(second)
    second = crew.hire()
    wait_for(lambda: len(complete(crew.study.trials)) >= 10)
    wait_for(lambda: crew.works(first) and crew.works(second))
    crew.kill(first, second)
    last = [crew.hire(), crew.hire()]
    for worker in last:
        worker.join()
        assert worker.exitcode == 0
    check_whole(crew, 20)
    assert len(crew.lost) == 4
    assert len({_pid(trial) for trial in complete(crew.study.trials)}) >= 4


@pytest.fixture
def server() -> Iterator[postgres.Server]:
    if reason := postgres.missing():
        pytest.skip(reason)
    with postgres.server() as running:
        yield running


def test_postgresql_serves_two_workers_one_of_them_killed(
    recordings: Path, tmp_path: Path, server: postgres.Server
) -> None:
    """They make the tables at the same time, and go on with another connection after a restart."""
    storage = f"hydra.sweeper.storage='{server.address}'"
    crew = Crew(tmp_path, server.address, *words_of(recordings, 8), storage)
    first, second = crew.hire(), crew.hire()
    wait_for((tmp_path / "sweeps" / "s" / "multirun.yaml").exists)
    wait_for(lambda: crew.works(second, trains=True))
    crew.kill(second)
    second = crew.hire()
    wait_for(lambda: crew.works(first, trains=True))
    server.restart()
    for worker in (first, second):
        worker.join()
        assert worker.exitcode == 0
    check_whole(crew, 8)
    for file in tmp_path.rglob("*"):
        assert file.is_dir() or postgres.PASSWORD.encode() not in file.read_bytes(), file
