"""Many files measured at once, in worker processes that may crash."""

import os
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from pathlib import Path

from timbrel import stopping
from timbrel.data.scan.probe import Measurement, measure
from timbrel.data.scan.probe_process import probing_process
from timbrel.data.worker_process import EndedError, WorkerProcess, available_cores, in_parallel
from timbrel.errors import UserError

# Starting a worker costs as much as measuring this much.
FILES_PER_WORKER = 32
BYTES_PER_WORKER = 10 << 20


def measure_all(
    paths: Sequence[Path],
    *,
    workers: int | None = None,
    progress: Callable[[int, int, str], None] | None = None,
    process: Callable[[], WorkerProcess[str, Measurement]] = probing_process,
) -> list[Measurement | None]:
    """One measurement per path, in their order; None where the decoder crashed on the file.

    `workers` is the number of processes, each from one call of `process`: by default one per core,
    fewer for few files; 0 measures in this process, where a crash of the decoder is a crash of the
    caller. `progress` is told how many are done, how many there are and the absolute path of the
    last.

    Raises UserError where a process does not start.
    """
    jobs = [os.path.abspath(path) for path in paths]
    count = _workers(jobs) if workers is None else workers
    measured: dict[str, Measurement | None] = {}
    with closing(_outcomes(jobs, count, process)) as outcomes:
        for done, (job, outcome) in enumerate(outcomes, 1):
            measured[job] = outcome
            if progress:
                progress(done, len(jobs), job)
    return [measured[job] for job in jobs]


def _workers(jobs: Sequence[str]) -> int:
    by_files = -(-len(jobs) // FILES_PER_WORKER)
    by_bytes = -(-sum(map(_size, jobs)) // BYTES_PER_WORKER)
    return min(available_cores(), max(by_files, by_bytes))


def _outcomes(
    jobs: Sequence[str], workers: int, process: Callable[[], WorkerProcess[str, Measurement]]
) -> Generator[tuple[str, Measurement | None], None, None]:
    """Each path with its measurement, as they are done."""
    if workers == 0:
        for job in jobs:
            stopping.heed()
            yield job, measure(job)
        return
    # The longest begin first, so that none is left to run alone at the end.
    outcomes = in_parallel(sorted(jobs, key=_size, reverse=True), process, workers)
    with closing(outcomes):
        for job, outcome in outcomes:
            if isinstance(outcome, EndedError):
                yield job, None
            elif isinstance(outcome, UserError):
                raise outcome
            else:
                yield job, outcome


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
