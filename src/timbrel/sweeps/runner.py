"""Runs, each a `timbrel train` process; a failed run does not stop the others.

A launcher decides where and when runs happen: `launch` here, as processes of this machine, some at
a time; `timbrel.commands.ablate_launchers` through any launcher of Hydra's. What one run is, is
`run_alone`'s: lock, signature, record, training, analysis if the study has them, its end.
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
from timbrel.sweeps.analysis import analysis_identity, analysis_words, standing_of
from timbrel.sweeps.plan import SWEEPS, PlannedRun
from timbrel.sweeps.record import (
    Record,
    Standing,
    State,
    only_one,
    read_record,
    standing,
    write_record,
)
from timbrel.sweeps.signature import FileDigests, Signature, sign

PROCESS = "process"  # the launcher here, by its name
LOG_FILE = "output.log"
TRAIN = (*module_command("timbrel"), "train")
ANALYZE = (*module_command("timbrel"), "analyze")
_STOP_S = 20.0  # Ctrl-C reaches a training too; it closes its files first
_LONGEST_REASON = 500
_MISTAKE = ("timbrel train: ", "timbrel analyze: ")
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
    """Trainings and analyses at work, to be ended with the runner."""

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
        """End every process, those first that Ctrl-C has not ended already."""
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
class _End:
    """How a stage's process ended: its exit status, why if it failed, and after how long, in s."""

    status: int
    reason: str
    seconds: float


@dataclass(frozen=True)
class _Runner:
    """What the runs of one call share."""

    study: str
    digests: FileDigests
    environment: Mapping[str, str]
    stop: Stop
    tell: Tell

    def run(self, run: PlannedRun) -> Ending | None:
        """One run; what goes wrong around it is that run's failure alone.

        None where the runner was stopped meanwhile.
        """
        try:
            return self._from_start_to_end(run)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"[:_LONGEST_REASON]
            before = read_record(run.folder)
            if before is None or before.ended != "finished":  # what was trained stays so
                with suppress(OSError):
                    write_record(run.folder, Record(asdict(run.signature), "failed", reason))
            return Ending(run, State.failed, reason, 0.0)

    def _from_start_to_end(self, run: PlannedRun) -> Ending | None:
        lock = SWEEPS / self.study / ".locks" / f"{run.cell.folder}_seed{run.seed}"

        def waiting() -> None:
            self.tell(f"{run.label}: another process is running it; waiting for its end")

        with only_one(lock, waiting=waiting, stopped=lambda: self.stop.asked) as descriptor:
            if self.stop.asked:
                return None
            # Signed again: code may have been edited since the plan, and another process been here.
            signature = sign(run.config, self.digests)
            found = standing(run.folder, signature)
            spent_s = 0.0
            if found.state is not State.finished:
                ending = self._trained(run, signature, found, descriptor)
                if ending.state is not State.finished:
                    return ending
                spent_s = ending.seconds
            if run.analysis is not None:
                stands = standing_of(run.folder, signature, run.analysis, self.digests)
                if stands.state is not State.finished:
                    return self._analyzed(run, run.analysis, spent_s, descriptor)
            return Ending(run, State.finished, "", spent_s or found.seconds or 0.0)

    def _trained(
        self, run: PlannedRun, signature: Signature, found: Standing, descriptor: int | None
    ) -> Ending:
        """How the run stands after its training."""
        folder, resumes = run.folder, found.resumes
        if not resumes:
            _clear(folder, self.study, run, keep=found.state is State.changed)
            folder.mkdir(parents=True, exist_ok=True)
        about = {"study": self.study, "cell": run.cell.label, "seed": run.seed}
        record = Record(asdict(signature), about=about)
        write_record(folder, record)
        self.tell(f"{run.label}: {'resumed' if resumes else 'started'}")
        where = f"hydra.run.dir='{folder}'"
        words = [f"run={folder}", "trust=true", where] if resumes else [*run.overrides, where]
        try:
            end = self._call(folder, [*TRAIN, *words], descriptor)
        except KeyboardInterrupt:
            write_record(folder, replace(record, ended="interrupted"))
            raise
        state = State.failed if end.reason else State.finished
        whole = None if resumes else round(end.seconds, 2)
        ended = "killed" if _signal_name(end.status) in _FROM_OUTSIDE else str(state)
        write_record(folder, replace(record, ended=ended, reason=end.reason, seconds=whole))
        return Ending(run, state, end.reason, end.seconds)

    def _analyzed(
        self, run: PlannedRun, profile: str, spent_s: float, descriptor: int | None
    ) -> Ending:
        """How the run, trained in `spent_s`, stands after its analysis."""
        folder = run.folder
        follows_from = analysis_identity(folder, profile, self.digests)
        self.tell(f"{run.label}: trained; its analysis started")
        words = [*ANALYZE, *analysis_words(folder, profile, run.config)]
        end = self._call(folder, words, descriptor)
        reason = f"its analysis: {end.reason}" if end.reason else ""
        made = {**follows_from, "reason": reason, "seconds": round(end.seconds, 2)}
        if record := read_record(folder):
            write_record(folder, replace(record, analysis=made))
        state = State.failed if reason else State.finished
        return Ending(run, state, reason, spent_s + end.seconds)

    def _call(self, folder: Path, words: Sequence[str], descriptor: int | None) -> _End:
        """The end of a process whose output goes to the run's log.

        Raises KeyboardInterrupt where it was stopped by the runner, or by a Ctrl-C of its own.
        """
        began_s = time.monotonic()
        with (folder / LOG_FILE).open("ab") as log:
            start = log.tell()
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(self.environment),
                pass_fds=[] if descriptor is None else [descriptor],
            )
            status = self.stop.watch(process)
        if self.stop.asked or status in _INTERRUPTED:
            raise KeyboardInterrupt
        reason = "" if status == 0 else _reason(folder / LOG_FILE, start, status)
        return _End(status, reason, time.monotonic() - began_s)


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
    """Why a process ended, in the last words of its log: a mistake's message, or the error."""
    if name := _signal_name(status):
        return f"killed by {name}" + (": out of memory?" if name == "SIGKILL" else "")
    with log.open("rb") as file:
        file.seek(start)
        lines = [line for line in file.read().decode("utf-8", "replace").splitlines() if line]
    began = [i for i, line in enumerate(lines) if line.startswith(_MISTAKE)]
    if status == 2 and began:
        words = " ".join(line.strip() for line in lines[began[-1] :])
        return words.partition(": ")[2][:_LONGEST_REASON]
    traces = [i for i, line in enumerate(lines) if line.startswith("Traceback ")]
    if traces:
        # The error stands below its frames, which are indented; it may have several lines.
        below = dropwhile(lambda line: line[0].isspace(), lines[traces[-1] + 1 :])
        if words := " ".join(line.strip() for line in below):
            return words[:_LONGEST_REASON]
    last = lines[-1].strip() if lines else f"exit status {status}"
    return last[:_LONGEST_REASON]
