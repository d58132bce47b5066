"""Many files measured at once, in worker processes that may crash."""

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from timbrel.data.scan.probe import READY, Measurement, measure

# Starting a worker costs as much as measuring this much.
FILES_PER_WORKER = 32
BYTES_PER_WORKER = 10 << 20


def available_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def measure_all(
    paths: Sequence[Path],
    *,
    workers: int | None = None,
    progress: Callable[[int, int, str], None] | None = None,
    command: Sequence[str] = (sys.executable, "-P", "-m", "timbrel.data.scan.probe"),
) -> list[Measurement | None]:
    """One measurement per path, in their order; None where the decoder crashed on the file.

    `workers` is the number of processes: by default one per core, fewer for few files; 0 measures
    in this process, where a crash of the decoder is a crash of the caller. `progress` is told how
    many are done, how many there are and which was the last, always from the calling thread.
    """
    if workers is None:
        by_files = -(-len(paths) // FILES_PER_WORKER)
        by_bytes = -(-sum(map(_size, paths)) // BYTES_PER_WORKER)
        workers = min(available_cores(), max(by_files, by_bytes))
    results: list[Measurement | None] = [None] * len(paths)
    if workers == 0:
        for index, path in enumerate(paths):
            results[index] = measure(path)
            if progress:
                progress(index + 1, len(paths), str(path))
        return results
    pending: queue.SimpleQueue[int] = queue.SimpleQueue()
    for index in _largest_first(paths):
        pending.put(index)
    done: queue.SimpleQueue[int | BaseException] = queue.SimpleQueue()
    stop = threading.Event()
    workers_begun: list[subprocess.Popen[str]] = []
    threads = [
        threading.Thread(
            target=_feed,
            args=(command, paths, pending, results, done, stop, workers_begun),
            daemon=True,
        )
        for _ in range(min(workers, len(paths)))
    ]
    for thread in threads:
        thread.start()
    try:
        for finished in range(1, len(paths) + 1):
            outcome = done.get()
            if isinstance(outcome, BaseException):
                raise outcome
            if progress:
                progress(finished, len(paths), str(paths[outcome]))
    except BaseException:
        stop.set()
        for process in workers_begun:
            process.terminate()  # else a long file would hold up the way out
        raise
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    return results


def _largest_first(paths: Sequence[Path]) -> list[int]:
    """The longest files begin first, so that none is left to run alone at the end."""

    sizes = [_size(path) for path in paths]
    return sorted(range(len(paths)), key=lambda index: -sizes[index])


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _feed(
    command: Sequence[str],
    paths: Sequence[Path],
    pending: "queue.SimpleQueue[int]",
    results: list[Measurement | None],
    done: "queue.SimpleQueue[int | BaseException]",
    stop: threading.Event,
    begun: "list[subprocess.Popen[str]]",
) -> None:
    """Hand files to one worker process, and to a new one whenever it dies."""
    process: subprocess.Popen[str] | None = None
    try:
        while not stop.is_set():
            try:
                index = pending.get_nowait()
            except queue.Empty:
                return
            if process is None:
                process = _start(command, begun)
                if stop.is_set():
                    return
            answer = _ask(process, paths[index])
            if answer is None:
                _end(process)
                process = None
            results[index] = answer
            done.put(index)
    except BaseException as error:
        done.put(error)
    finally:
        if process is not None:
            _end(process)


def _start(command: Sequence[str], begun: "list[subprocess.Popen[str]]") -> "subprocess.Popen[str]":
    # The cores are taken by processes; threads of their own would only get in each other's way.
    single = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="ascii",
        env=os.environ | single,
        start_new_session=True,  # Ctrl-C is this process's: it ends its workers itself
    )
    begun.append(process)
    # A worker that never comes up must not be taken for a decoder that crashed.
    if process.stdout is None or process.stdout.readline() != READY:
        _end(process)
        raise RuntimeError(f"the worker process did not start: {' '.join(command)}")
    return process


def _ask(process: "subprocess.Popen[str]", path: Path) -> Measurement | None:
    """The worker's measurement of one file, None where it died of it."""
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("a worker was started without pipes")
    try:
        process.stdin.write(json.dumps(os.path.abspath(path)) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
    except BrokenPipeError:
        return None
    return Measurement.from_json(json.loads(line)) if line.endswith("\n") else None


def _end(process: "subprocess.Popen[str]") -> None:
    """Close the pipes and wait; a worker ends when its input does."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
