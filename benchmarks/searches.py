"""What the benchmarks of searches share: a search as processes, what it cost and what it found."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState

from timbrel.sweeps.search.store import JOURNAL_FILE, join_study, open_storage


@dataclass(frozen=True)
class Search:
    """A search in `folder`, which its study is named after: `timbrel train --multirun`."""

    folder: Path
    words: tuple[str, ...]

    @property
    def command(self) -> list[str]:
        """The words of the process, run in the folder above."""
        own = ["hydra/sweeper=optuna", f"hydra.sweeper.study_name={self.folder.name}"]
        place = [f"hydra.sweep.dir={self.folder.absolute()}"]
        train = [sys.executable, "-m", "timbrel", "train", "--multirun"]
        return [*train, *own, *place, "logger=none", *self.words]

    def begin(self) -> "subprocess.Popen[bytes]":
        """A worker of one thread, its output in `log.txt`; the study goes on where it was."""
        self.folder.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        with (self.folder / "log.txt").open("ab") as log:
            return subprocess.Popen(self.command, stdout=log, stderr=log, env=environment)

    def queue(self, values: Sequence[Mapping[str, Any]]) -> None:
        """Found the study, and queue trials of these values."""
        self.folder.mkdir(parents=True)
        storage = open_storage(str(self.folder / JOURNAL_FILE))
        study, _ = join_study(storage, self.folder.name, ["minimize"])
        for one in values:
            study.enqueue_trial(dict(one))

    def trials(self) -> list[optuna.trial.FrozenTrial]:
        """Those that are over, complete or pruned; none where the search has not begun."""
        journal = self.folder / JOURNAL_FILE
        if not journal.exists():
            return []
        study = optuna.load_study(study_name=self.folder.name, storage=open_storage(str(journal)))
        return study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))

    def finish(self, n_trials: int) -> list[optuna.trial.FrozenTrial]:
        """Run to `n_trials`, unless it has them. Raises RuntimeError where they do not come."""
        if len(self.trials()) < n_trials:
            self.begin().wait()
        found = self.trials()
        if len(found) != n_trials:
            log = self.folder / "log.txt"
            raise RuntimeError(f"{len(found)} of {n_trials} trials; see {log}")
        return found


def results_folder(out: Path, words: Sequence[str]) -> Path:
    """`out`, made for these words. Raises SystemExit where it holds results of others."""
    out.mkdir(parents=True, exist_ok=True)
    note = out / "words.txt"
    text = "\n".join(words) + "\n"
    if note.exists() and note.read_text() != text:
        raise SystemExit(f"'{out}' holds results of other words (words.txt); take another --out")
    note.write_text(text)
    return out
