"""How much faster two workers of one search are than one: the same trials, one thread for each.

    python benchmarks/workers.py --trials 8 --repeats 2 --out FOLDER \\
        data.root=drums_oneshots architecture=spectral_small trainer.max_time=null \\
        trainer.max_steps=60

The trials are a list of learning rates that is queued before the first worker starts. Every
training takes the same steps. The start of a worker, some seconds, is part of its time. Called
again it goes on where it was stopped: a repeat that was cut short begins anew. The figures mean
something on a machine that does nothing else.
"""

import argparse
import csv
import resource
import shutil
import time
from pathlib import Path

import numpy as np
from searches import Search, results_folder

COLUMNS = ("workers", "repeat", "trials", "wall_s", "cpu_s", "trials_per_min")
RATE, LOW, HIGH = "trainer.learning_rate", 1e-4, 1e-2


def timed(search: Search, workers: int) -> tuple[float, float]:
    """Wall and CPU seconds until all workers of the search have ended."""
    before, began = _cpu_s(), time.perf_counter()
    crew = [search.begin() for _ in range(workers)]
    for worker in crew:
        if worker.wait() != 0:
            raise RuntimeError(f"a worker failed; see {search.folder / 'log.txt'}")
    return time.perf_counter() - began, _cpu_s() - before


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Time what has not been timed yet, and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("words", nargs="+", help="overrides that all trials share")
    given = parser.parse_args()
    shared = [f"hydra.sweeper.n_trials={given.trials}", "device.threads=1", *given.words]
    shared.append(f"{RATE}=tag(log,interval({LOW:g},{HIGH:g}))")
    out = results_folder(given.out, shared)
    rates = np.geomspace(LOW, HIGH, given.trials)
    file = out / "workers.csv"
    rows = list(csv.DictReader(file.open())) if file.exists() else []
    done = {(int(row["workers"]), int(row["repeat"])) for row in rows}
    for repeat in range(given.repeats):
        for workers in given.workers:
            if (workers, repeat) in done:
                continue
            folder = out / f"workers_{workers}_{repeat}"
            shutil.rmtree(folder, ignore_errors=True)  # half of a measurement
            search = Search(folder, tuple(shared))
            search.queue([{RATE: float(rate)} for rate in rates])
            wall_s, cpu_s = timed(search, workers)
            trained = len(search.trials())
            if trained != given.trials:
                raise RuntimeError(f"{trained} of {given.trials} trials; see {folder / 'log.txt'}")
            per_min = 60 * given.trials / wall_s
            found = (workers, repeat, given.trials, round(wall_s, 2), round(cpu_s, 2), per_min)
            rows.append(dict(zip(COLUMNS, map(str, found), strict=True)))
            with file.open("w", newline="") as table:
                written = csv.DictWriter(table, COLUMNS)
                written.writeheader()
                written.writerows(rows)
    least = min(given.workers)
    best = {n: max(rate_of(row) for row in rows if int(row["workers"]) == n) for n in given.workers}
    for workers, rate in best.items():
        ratio = rate / best[least]
        print(f"workers {workers}: {rate:.3g} trials/min, {ratio:.2f} times that of {least}")


def rate_of(row: dict[str, str]) -> float:
    """Trials a minute."""
    return float(row["trials_per_min"])


if __name__ == "__main__":
    main()
