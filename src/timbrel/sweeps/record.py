"""`cell.json` in a run's folder: with which signature it was run, and what became of it.

It is written before the training starts, so that what a kill leaves behind is known as unfinished.
"""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from timbrel.files import write_text
from timbrel.runs.folder import CARD_FILE, CONFIG_FILE, MODEL_FOLDER
from timbrel.sweeps.signature import Signature

try:
    import fcntl
except ImportError:  # Windows: there, two calls at once are the user's to avoid
    fcntl = None  # type: ignore[assignment]

RECORD_FILE = "cell.json"
_LAST_FILE = "report.html"  # what a training writes last; the page's module takes long to import
_POLL_S = 0.5


class State(StrEnum):
    """What a run of the grid is before, and after, a call."""

    to_run = "to run"
    finished = "finished"
    unfinished = "resumes"
    """Interrupted or killed with an equal signature: goes on from its last checkpoint."""
    failed = "failed"
    """Tried again by the next call, from its last checkpoint only if it was killed from outside."""
    to_analyze = "to analyze"
    """Trained; its analysis is missing, or is of another model, profile or code."""
    changed = "changed"
    """Run with another config, other recordings or other code: run again."""


@dataclass(frozen=True)
class Record:
    """The record in a run's folder."""

    signature: Mapping[str, Any]
    ended: str = ""
    """Empty while it runs (or after its runner was killed), else `finished`, `failed`, `killed` or
    `interrupted`."""
    reason: str = ""
    seconds: float | None = None
    """From start to end; None where it was resumed, which no clock saw whole."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """Study, cell and seed, for people."""
    analysis: Mapping[str, Any] = field(default_factory=dict)
    """What it follows from (`sweeps.analysis`), `reason` (empty where it went well) and `seconds`;
    {} before there was one."""


@dataclass(frozen=True)
class Standing:
    """A run's state, why (for failed and changed), and how long its training took."""

    state: State
    reason: str = ""
    seconds: float | None = None
    resumes: bool = False
    """Whether to run it is to go on from its last checkpoint."""
    analysis_s: float | None = None
    """How long its analysis took, if it had one."""
    trained: bool = False
    """Whether nothing but its analysis is left to do."""

    @property
    def whole_s(self) -> float | None:
        """Training and analysis; None where the training was resumed, which no clock saw whole."""
        return None if self.seconds is None else self.seconds + (self.analysis_s or 0.0)


def standing(folder: Path, signature: Signature) -> Standing:
    """What is to be done about the training in `folder`, if it is to have `signature`."""
    record = read_record(folder)
    if record is None:
        return Standing(State.to_run)
    if changed := signature.changes(record.signature):
        return Standing(State.changed, ", ".join(changed), record.seconds)
    if (folder / MODEL_FOLDER / CARD_FILE).is_file():
        # A training that outlived its runner has nobody to note its end; its page comes last.
        outlived = not record.ended and (folder / _LAST_FILE).is_file()
        if record.ended == "finished" or outlived:
            return Standing(State.finished, "", record.seconds)
    # What has a config can be resumed; before that, nothing was learned.
    resumes = record.ended != "failed" and (folder / CONFIG_FILE).is_file()
    if record.ended in ("failed", "killed"):
        return Standing(State.failed, record.reason, resumes=resumes)
    return Standing(State.unfinished if resumes else State.to_run, resumes=resumes)


def read_record(folder: Path) -> Record | None:
    """The record in `folder`; None without one that can be read."""
    try:
        return Record(**json.loads((folder / RECORD_FILE).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def write_record(folder: Path, record: Record) -> None:
    """Write the record, whole or not at all."""
    text = json.dumps(asdict(record), indent=2, ensure_ascii=False) + "\n"
    write_text(folder / RECORD_FILE, text)


@contextmanager
def only_one(
    lock: Path, *, waiting: Callable[[], None], stopped: Callable[[], bool]
) -> Iterator[int | None]:
    """Hold the lock of a run; its descriptor, to hand on to the training's process.

    Held by whichever lives longer, this process or the training: a runner killed alone leaves a
    training at work, which no other may disturb. `waiting()` is called once where another has it;
    once `stopped()`, nobody waits on, and the lock is not held.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if fcntl is not None:
            told = False
            while not stopped():
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if not told:
                        waiting()
                    told = True
                    time.sleep(_POLL_S)
        yield descriptor if fcntl is not None else None
    finally:
        os.close(descriptor)
