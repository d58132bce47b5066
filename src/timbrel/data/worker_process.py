"""A function run in processes of its own: for work that may crash or that threads cannot speed up.

A module names its function in its last lines, `if __name__ == "__main__": serve(function)`, and
`WorkerProcess(module_command("timbrel.…"), …)` runs it there. Jobs and outcomes pass pipes as
pickles, so their classes belong into other modules than the one that runs. Not `multiprocessing`:
that runs the caller's script again in every child, and imports torch if the script does.
"""

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Generic, TypeVar, final

from timbrel import stopping, streams
from timbrel.errors import UserError

Job = TypeVar("Job")
Outcome = TypeVar("Outcome")

# Where the cores are taken by processes, threads of their own would get in each other's way.
SINGLE_THREADED = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

# What a process says first: one that never comes up must not be taken for one that a job ended.
READY = b"ready\n"

START_S = 180.0
"""How long a process may take to say it: its imports, from a slow disk on a busy machine."""


class EndedError(UserError):
    """A process that ended on its job: killed, out of memory, or crashed."""


def available_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def module_command(module: str) -> tuple[str, ...]:
    """The command that runs `module` by this Python."""
    return (sys.executable, "-P", "-m", module)


@final
class WorkerProcess(Generic[Job, Outcome]):
    """One process, started by `command` when it is needed, that does one job after the other.

    `ended(job)` is the error's sentence where the process ends on a job. `environment` is added to
    this process's.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        ended: Callable[[Job], str],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._command = command
        self._ended = ended
        self._environment = dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def call(self, job: Job) -> Outcome:
        """The outcome of `job`.

        Raises the `UserError` of the function there, `EndedError` where the process ends on the
        job, and another `UserError` where it does not start within `START_S`; the next job gets a
        fresh process.
        """
        process = self._process or self._start(job)
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("a worker process was started without pipes")
        try:
            pickle.dump(job, process.stdin)
            process.stdin.flush()
            outcome = pickle.load(process.stdout)
        except (BrokenPipeError, EOFError, pickle.UnpicklingError) as error:
            self.close()
            raise EndedError(self._ended(job)) from error
        except BaseException:
            self.stop()
            raise
        if isinstance(outcome, UserError):
            raise outcome
        return outcome

    def _start(self, job: Job) -> "subprocess.Popen[bytes]":
        try:
            process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=os.environ | self._environment,
                start_new_session=True,  # Ctrl-C is this process's: it ends its workers itself
            )
        except OSError as error:  # no memory, or too many processes
            raise UserError(f"{self._ended(job)}: {error.strerror or error}") from error
        self._process = process
        if self._stopped:  # by another thread, which did not see this process yet
            process.terminate()
        began_s = time.monotonic()
        limit = threading.Timer(START_S, process.kill)  # ends the wait for its first line
        limit.start()
        ready = process.stdout is not None and process.stdout.readline() == READY
        limit.cancel()
        if not ready:
            within = f" within {START_S:g} s" if time.monotonic() - began_s >= START_S else ""
            self.close()
            command = " ".join(self._command)
            raise UserError(f"{self._ended(job)}: it did not start{within} ({command})")
        return process

    def stop(self) -> None:
        """Have the process end amid its job, and none start from now on; `close` waits for it."""
        self._stopped = True
        process = self._process
        if process is not None:
            process.terminate()

    def close(self) -> None:
        """End the process, after the job it is at."""
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(BrokenPipeError):
            try:
                process.communicate(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
        process.wait()


def in_parallel(
    jobs: Sequence[Job], start: Callable[[], WorkerProcess[Job, Outcome]], count: int
) -> Generator[tuple[Job, Outcome | UserError], None, None]:
    """Each job with its outcome or its error, in the order in which they are done.

    They begin in the order given, in up to `count` processes, each from one call of `start`.
    """
    count = min(count, len(jobs))
    workers = [start() for _ in range(count)]
    idle: SimpleQueue[WorkerProcess[Job, Outcome]] = SimpleQueue()
    for worker in workers:
        idle.put(worker)

    def done_elsewhere(job: Job) -> Outcome | UserError:
        worker = idle.get()
        try:
            return worker.call(job)
        except UserError as error:
            return error
        finally:
            idle.put(worker)

    threads = ThreadPoolExecutor(max(count, 1))
    try:
        pending = {threads.submit(done_elsewhere, job): job for job in jobs}
        for future in as_completed(pending):
            stopping.heed()
            yield pending[future], future.result()
    except BaseException:
        for worker in workers:
            worker.stop()
        raise
    finally:
        threads.shutdown(cancel_futures=True)
        for worker in workers:
            worker.close()


def serve(function: Callable[[Any], Any]) -> None:
    """Answer each job of the input with its outcome, or its `UserError`, until the input ends.

    SIGTERM ends it amid a job, whose temporary files are then removed.
    """
    streams.guard()  # who asked may be gone when the answer comes
    with suppress(FileNotFoundError):  # for parts of the user's own, after all other modules
        sys.path.append(os.getcwd())
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt, BrokenPipeError), os.fdopen(os.dup(1), "wb") as answers:
        # Decoders and other C code write notes of their own: answers have a stream to themselves.
        streams.to_nowhere(1)
        answers.write(READY)
        answers.flush()
        while True:
            try:
                job = pickle.load(sys.stdin.buffer)
            except EOFError:
                return
            try:
                outcome = function(job)
            except UserError as error:
                outcome = error
            pickle.dump(outcome, answers)
            answers.flush()
