"""Runs, each a `timbrel train` process; a failed run does not stop the others.

A launcher decides where and when runs happen: `launch` here, as processes of this machine, some at
a time; `timbrel.commands.ablate_launchers` through any launcher of Hydra's. What one run is, is
`run_alone`'s: lock, signature, record, training, its end.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from itertools import dropwhile
from pathlib import Path

from timbrel import stopping
from timbrel.data.worker_process import module_command
from timbrel.files import remove_folder, remove_stale_temporaries
from timbrel.sweeps.plan import SWEEPS, PlannedRun
from timbrel.sweeps.record import (
    Record,
    State,
    only_one,
    read_record,
    standing,
    write_record,
)
from timbrel.sweeps.signature import FileDigests, sign

PROCESS = "process"  # the launcher here, by its name
LOG_FILE = "output.log"
TRAIN = (*module_command("timbrel"), "train")
_STOP_S = 20.0  # Ctrl-C reaches a training too; it closes its files first
_LONGEST_REASON = 500
# Somebody, or the system, ended the process: nothing is wrong with the training itself.
_FROM_OUTSIDE = ("SIGKILL", "SIGTERM", "SIGHUP")
_INTERRUPTED = (130, -signal.SIGINT)  # Ctrl-C: caught by the training, or before it could be


@dataclass(frozen=True)
class Ending:
    """How a run ended: finished, or failed for a reason; how long it took, in s."""

    run: PlannedRun
    state: State
    reason: str
    seconds: float


Tell = Callable[[str], None]
Ended = Callable[[Ending], None]


class Stop:
    """Trainings at work, to be ended with the runner."""

    def __init__(self) -> None:
        self._at_work: set[subprocess.Popen[bytes]] = set()
        self.asked = False

    def watch(self, process: "subprocess.Popen[bytes]") -> int:
        """The process's exit status, once it has one."""
        self._at_work.add(process)
        try:
            return process.wait()
        finally:
            self._at_work.discard(process)

    def all(self) -> None:
        """End every training, those first that Ctrl-C has not ended already."""
        self.asked = True
        deadline_s = time.monotonic() + _STOP_S
        for process in list(self._at_work):
            with suppress(subprocess.TimeoutExpired):
                process.wait(2.0)
                continue
            process.send_signal(signal.SIGINT)
        for process in list(self._at_work):
            try:
                process.wait(max(0.1, deadline_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()


@dataclass(frozen=True)
class _Runner:
    """What the runs of one call share."""

    study: str
    digests: FileDigests
    environment: Mapping[str, str]
    stop: Stop
    tell: Tell

    def run(self, run: PlannedRun) -> Ending | None:
        """One training; what goes wrong around it is that run's failure alone.

        None where the runner was stopped meanwhile.
        """
        try:
            return self._from_start_to_end(run)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"[:_LONGEST_REASON]
            with suppress(OSError):
                write_record(run.folder, Record(asdict(run.signature), "failed", reason))
            return Ending(run, State.failed, reason, 0.0)

    def _from_start_to_end(self, run: PlannedRun) -> Ending | None:
        folder = run.folder
        lock = SWEEPS / self.study / ".locks" / f"{run.cell.folder}_seed{run.seed}"

        def waiting() -> None:
            self.tell(f"{run.label}: another process is running it; waiting for its end")

        with only_one(lock, waiting=waiting, stopped=lambda: self.stop.asked) as descriptor:
            if self.stop.asked:
                return None
            # Signed again: code may have been edited since the plan, and another process been here.
            signature = sign(run.config, self.digests)
            found = standing(folder, signature)
            if found.state is State.finished:
                return Ending(run, State.finished, "", found.seconds or 0.0)
            resumes = found.resumes
            if not resumes:
                _clear(folder, self.study, run, keep=found.state is State.changed)
                folder.mkdir(parents=True, exist_ok=True)
            about = {"study": self.study, "cell": run.cell.label, "seed": run.seed}
            record = Record(asdict(signature), about=about)
            write_record(folder, record)
            self.tell(f"{run.label}: {'resumed' if resumes else 'started'}")
            began_s = time.monotonic()
            status, log_start = self._train(run, resumes, descriptor)
            seconds = time.monotonic() - began_s
            if self.stop.asked or status in _INTERRUPTED:
                write_record(folder, replace(record, ended="interrupted"))
                if not self.stop.asked:
                    raise KeyboardInterrupt
                return None
            reason = "" if status == 0 else _reason(folder / LOG_FILE, log_start, status)
            state = State.failed if reason else State.finished
            whole = None if resumes else round(seconds, 2)
            ended = "killed" if _signal_name(status) in _FROM_OUTSIDE else str(state)
            write_record(folder, replace(record, ended=ended, reason=reason, seconds=whole))
            return Ending(run, state, reason, seconds)

    def _train(self, run: PlannedRun, resumes: bool, descriptor: int | None) -> tuple[int, int]:
        """The exit status of the training, and where its part of the log begins."""
        where = f"hydra.run.dir='{run.folder}'"
        words = [f"run={run.folder}", "trust=true", where] if resumes else [*run.overrides, where]
        with (run.folder / LOG_FILE).open("ab") as log:
            start = log.tell()
            process = subprocess.Popen(
                [*TRAIN, *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(self.environment),
                pass_fds=[] if descriptor is None else [descriptor],
            )
            return self.stop.watch(process), start


def launch(runs: Sequence[PlannedRun], *, study: str, jobs: int, tell: Tell, ended: Ended) -> None:
    """Run them as processes of this machine, `jobs` at a time; `ended` hears of each.

    A failed run is recorded with its reason; the other runs continue. Raises KeyboardInterrupt on
    Ctrl-C, when every training has stopped; what was at work is resumed by the next call.
    """
    runner = _runner(study, jobs, tell)
    with ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(runner.run, run) for run in runs]
        try:
            for future in as_completed(futures):
                stopping.heed()
                ending = future.result()
                if ending is not None:
                    ended(ending)
        except BaseException:
            for future in futures:
                future.cancel()
            runner.stop.all()
            raise
        finally:
            runner.digests.save()


def run_alone(run: PlannedRun, *, study: str, jobs: int, tell: Tell) -> Ending | None:
    """One run, beside `jobs` - 1 others of this machine; None where another process stopped it.

    Raises KeyboardInterrupt as `launch`.
    """
    runner = _runner(study, jobs, tell)
    try:
        return runner.run(run)
    except BaseException:
        runner.stop.all()
        raise


def _runner(study: str, jobs: int, tell: Tell) -> _Runner:
    digests = FileDigests(SWEEPS / study / "files.json")
    return _Runner(study, digests, environment_of(jobs), Stop(), tell)


def environment_of(jobs: int) -> dict[str, str]:
    """What a training's process is started with where `jobs` run at a time."""
    environment = dict(os.environ)
    if jobs > 1:
        # Else every training would take all cores. As a key it would be another config.
        environment.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // jobs)))
    return environment


def _clear(folder: Path, study: str, run: PlannedRun, *, keep: bool) -> None:
    """Make room for a run from the start; one of another signature is kept under `earlier/`."""
    if not folder.exists():
        return
    record = read_record(folder)
    if keep and record is not None and record.ended == "finished":
        earlier = SWEEPS / study / "earlier"
        earlier.mkdir(exist_ok=True)
        name = f"{run.cell.folder}_seed{run.seed}"
        number = 1 + sum(1 for _ in earlier.glob(f"{name}_*"))
        while (target := earlier / f"{name}_{number}").exists():
            number += 1
        folder.rename(target)
        return
    remove_stale_temporaries(folder.parent)
    remove_folder(folder)


def _signal_name(status: int) -> str:
    """The signal that ended a process, whether it died of it or told so by 128 and its number."""
    number = -status if status < 0 else status - 128
    return signal.Signals(number).name if number in set(signal.Signals) else ""


def _reason(log: Path, start: int, status: int) -> str:
    """Why a training ended, in the last words of its log: a mistake's message, or the error."""
    if name := _signal_name(status):
        return f"killed by {name}" + (": out of memory?" if name == "SIGKILL" else "")
    with log.open("rb") as file:
        file.seek(start)
        lines = [line for line in file.read().decode("utf-8", "replace").splitlines() if line]
    began = [i for i, line in enumerate(lines) if line.startswith("timbrel train: ")]
    if status == 2 and began:
        words = " ".join(line.strip() for line in lines[began[-1] :])
        return words.removeprefix("timbrel train: ")[:_LONGEST_REASON]
    traces = [i for i, line in enumerate(lines) if line.startswith("Traceback ")]
    if traces:
        # The error stands below its frames, which are indented; it may have several lines.
        below = dropwhile(lambda line: line[0].isspace(), lines[traces[-1] + 1 :])
        if words := " ".join(line.strip() for line in below):
            return words[:_LONGEST_REASON]
    last = lines[-1].strip() if lines else f"exit status {status}"
    return last[:_LONGEST_REASON]
