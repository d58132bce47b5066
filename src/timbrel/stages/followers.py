"""The other processes of a training that several share: how they are started, watched and ended.

The process of the command line is number 0. It prepares everything, and then starts the others,
each as `python -m timbrel.stages.follower` with the resolved config on its input. They write
nothing, so they may be ended at any moment; they end by themselves where their input does.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from timbrel.data.worker_process import READY, module_command
from timbrel.training.compute import Compute
from timbrel.training.processes import joined, meeting_point

_COMMAND = module_command("timbrel.stages.follower")
_LAST_LINES = 60
_NOTICED_S = 10.0  # a connection breaks a little before the process at its end has ended
_LEFT_S = 60.0  # for process 0 to notice that another has ended; on cuda it may wait for ever


class EndedError(Exception):
    """One of the other processes ended before the training did; the message says which, and how."""


@dataclass(frozen=True)
class Task:
    """What one of the other processes is told; `config` is the training's, as YAML."""

    process: int
    port: int
    folder: str
    first_step: int
    config: str


@contextmanager
def followers(
    config: DictConfig, compute: Compute, folder: Path, first_step: int
) -> Iterator[None]:
    """The other processes of the training in `folder`, at work until the block ends.

    A training of one process has none. Raises EndedError where one of them ends before the block
    does.
    """
    share = compute.share
    if share.count == 1:
        yield
        return
    store = meeting_point()
    text = OmegaConf.to_yaml(config, resolve=True)
    started: list[_Follower] = []
    try:
        for process in range(1, share.count):
            started.append(_Follower(Task(process, store.port, str(folder), first_step, text)))
        for follower in started:
            follower.wait_until_ready()
        with joined(share, store, compute.accelerator):
            yield
    except RuntimeError as error:  # what an exchange raises where another process is gone
        if words := _first_end(started):
            raise EndedError(words) from error
        raise
    finally:
        for follower in started:
            follower.end()


def _first_end(followers: Sequence["_Follower"]) -> str:
    """How the process ended for which an exchange failed; empty where none has."""
    deadline_s = time.monotonic() + _NOTICED_S
    ended = []
    for follower in followers:
        status = follower.status(deadline_s - time.monotonic())
        if status is not None:
            ended.append((status == 1, follower))
    if not ended:
        return ""
    # Those that only missed it failed in the same exchange, with a trace.
    return min(ended, key=lambda pair: pair[0])[1].ending()


class _Follower:
    """One process, and what it says of its end."""

    def __init__(self, task: Task) -> None:
        self._number = task.process
        self._process = subprocess.Popen(
            _COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is the first process's: it ends the others itself
        )
        self._lines: deque[str] = deque(maxlen=_LAST_LINES)
        self._unneeded = threading.Event()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(asdict(task)).encode() + b"\n")
            self._process.stdin.flush()

    def wait_until_ready(self) -> None:
        """Return when it has built its part. Raises EndedError where it ends before."""
        if READY not in self._process.stdout:
            raise EndedError(self.ending())

    def status(self, wait_s: float) -> int | None:
        """Its exit status, where it ends within `wait_s`; else None."""
        try:
            return self._process.wait(max(0.0, wait_s))
        except subprocess.TimeoutExpired:
            return None

    def ending(self) -> str:
        """How it ended, of itself or of what was done to it."""
        status = self._process.wait()
        self._listener.join(1.0)
        return f"process {self._number} of the training ended: {self._reason(status)}"

    def end(self) -> None:
        """End it; it has nothing to finish."""
        self._unneeded.set()
        self._process.kill()
        self._process.wait()
        self._listener.join(1.0)
        for stream in (self._process.stdin, self._process.stdout):
            with suppress(BrokenPipeError):
                stream.close()

    def _reason(self, status: int) -> str:
        if status < 0:
            name = signal.Signals(-status).name
            return f"killed by {name}" + (": out of memory?" if name == "SIGKILL" else "")
        said = [line for line in self._lines if line.strip()]
        if status == 1:  # a mistake of ours: its trace is worth more than its last line
            sys.stderr.writelines(said)
        return said[-1].strip() if said else f"exit status {status}"

    def _listen(self) -> None:
        """Read what it says until it ends, and see to it that process 0 does not wait for it."""
        with self._process.stderr as stream:
            for line in stream:
                self._lines.append(line.decode("utf-8", "replace"))
        status = self._process.wait()
        if status != 0 and not self._unneeded.wait(_LEFT_S):
            sys.stderr.write(
                f"timbrel train: process {self._number} of the training ended: "
                f"{self._reason(status)}; the same command with run= goes on\n"
            )
            sys.stderr.flush()
            os._exit(2)
