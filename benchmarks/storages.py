"""How many trials a second a search's storage can take: no training, only what workers write.

    python benchmarks/storages.py --storages journal postgresql://USER@HOST/DATABASE \\
        --workers 1 2 4 8 --lengths 0 1000 10000 --repeats 3 --out storages.csv

Each worker is a process that joins the study as `timbrel train --multirun` does and runs the
search itself: it asks for a trial of five numbers, signs it, reports two validations (as a job
with a pruner does, by a storage of its own) and tells the result. `--lengths` is how many trials
the study has before. Trials a second are the best of the repeats, since other work on the machine
can only slow them; seconds to join and CPU milliseconds (of the workers, not of a database's
server) are medians.
"""

import argparse
import csv
import json
import multiprocessing
import statistics
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from timbrel.sweeps.search.goals import Objective
from timbrel.sweeps.search.live import LiveTrial
from timbrel.sweeps.search.note import Ending, TrialNote
from timbrel.sweeps.search.search import FOLDER, NUMBERS, OVERRIDES, Goals, search
from timbrel.sweeps.search.space import Between, Draw, Space
from timbrel.sweeps.search.store import join_study, open_storage
from timbrel.sweeps.search.workers import WORKER, sign_of
from timbrel.words import without_password

LOSS = "validation/loss"
SPACE = Space(tuple(Draw(key, Between(0.0, 1.0)) for key in "abcde"))
NEVER = {"_target_": "optuna.pruners.NopPruner"}
FORK = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    storage: str
    length: int
    """Trials that the study has at the beginning."""
    workers: int
    trials_per_s: float
    join_s: float
    cpu_ms_per_trial: float


class _Hasty(JournalFileBackend):
    """For one writer that does not wait for the disk: fills a journal fast."""

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write the lines that Optuna would, without its lock."""
        with open(self._file_path, "a") as file:
            file.writelines(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)


def fill(place: str, name: str, length: int) -> None:
    """A study with `length` complete trials, as a search leaves them."""
    storage = open_storage(place) if "://" in place else JournalStorage(_Hasty(place))
    study, _ = join_study(storage, name, ["minimize"], sampler=optuna.samplers.RandomSampler(0))
    for number in range(length):
        trial = study.ask()
        trial.set_user_attr(WORKER, sign_of())
        trial.set_user_attr(OVERRIDES, SPACE.drawn(trial))
        for step in (100, 200):
            trial.report(1.0, step)
        trial.set_user_attr(FOLDER, f"/sweeps/{name}/{number}")
        trial.set_user_attr(NUMBERS, {LOSS: 1.0})
        study.tell(trial, 1.0)


def work(place: str, name: str, total: int, start: Any, results: Any) -> None:
    """A worker: joins, waits for the others, and goes on until the study has `total` trials."""
    began = time.perf_counter()
    study, _ = join_study(
        open_storage(place), name, ["minimize"], sampler=optuna.samplers.RandomSampler()
    )
    study.get_trials(deepcopy=False)
    join_s = time.perf_counter() - began

    def launch(batch: Sequence[Any]) -> list[Ending]:
        note = TrialNote(place, name, batch[0].number, (LOSS,), LOSS, NEVER)
        live = LiveTrial(note)
        for step in (100, 200):
            live.report(step, {"loss": 1.0})
        return [Ending({LOSS: float(batch[0].overrides["a"])})]

    goals = Goals(SPACE, (Objective(LOSS, "minimize"),), (), total)
    start.wait()
    cpu = time.process_time()
    search(study, goals, launch, lambda line: None)
    results.put((join_s, time.process_time() - cpu))


def measured(place: str, name: str, before: int, trials: int, workers: int) -> tuple[float, ...]:
    """Trials a second, seconds to join and CPU seconds a trial of so many workers."""
    start, results = FORK.Barrier(workers + 1), FORK.Queue()
    crew = [
        FORK.Process(target=work, args=(place, name, before + trials, start, results))
        for _ in range(workers)
    ]
    for worker in crew:
        worker.start()
    start.wait()
    began = time.perf_counter()
    found = [results.get() for _ in crew]
    wall_s = time.perf_counter() - began
    for worker in crew:
        worker.join()
    joins, cpus = zip(*found, strict=True)
    return trials / wall_s, statistics.median(joins), sum(cpus) / trials


def rows(
    storages: Sequence[str],
    lengths: Sequence[int],
    workers: Sequence[int],
    trials: int,
    repeats: int,
) -> Iterator[Row]:
    """Every line of the table. A study grows by the trials of each measurement."""
    for storage in storages:
        with _place(storage) as place:
            for length in lengths:
                name = f"storages_{uuid.uuid4().hex}"
                filling = FORK.Process(target=fill, args=(place, name, length))
                filling.start()  # a connection must not be shared with the workers
                filling.join()
                has = length
                for count in workers:
                    found = []
                    for _ in range(repeats):
                        found.append(measured(place, name, has, trials, count))
                        has += trials
                    rates, joins, cpus = zip(*found, strict=True)
                    yield Row(
                        storage=without_password(storage),
                        length=length,
                        workers=count,
                        trials_per_s=round(max(rates), 2),
                        join_s=round(statistics.median(joins), 3),
                        cpu_ms_per_trial=round(1000 * statistics.median(cpus), 1),
                    )


@contextmanager
def _place(storage: str) -> Iterator[str]:
    if storage != "journal":
        yield storage
        return
    with tempfile.TemporaryDirectory() as folder:
        yield str(Path(folder) / "journal.log")


def main() -> None:
    """Print a line for each measurement, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--storages", nargs="+", default=["journal"])
    parser.add_argument("--lengths", nargs="+", type=int, default=[0, 1000, 10000])
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 2, 4, 8])
    parser.add_argument("--trials", type=int, default=48, help="of each measurement, all workers")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("storages.csv"))
    given = parser.parse_args()
    names = [field.name for field in fields(Row)]
    with given.out.open("w", newline="") as file:
        table = csv.DictWriter(file, names)
        table.writeheader()
        print("  ".join(names))
        for row in rows(given.storages, given.lengths, given.workers, given.trials, given.repeats):
            table.writerow(asdict(row))
            file.flush()
            print("  ".join(str(value) for value in asdict(row).values()), flush=True)


if __name__ == "__main__":
    main()
