"""`timbrel train`: an instrument from a folder of recordings."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from timbrel.stages.app import run_stage
from timbrel.sweeps.search.note import VARIABLE


def main(argv: Sequence[str]) -> int:
    """The stage as the command line calls it; the exit status."""
    return run_stage("train", argv, job)


def job(config: DictConfig) -> float | dict[str, Any] | None:
    """Train as `config` says, or report what it would cost (`dry_run`).

    Returns the number that `objective` names, for a sweeper; None where it names none. A trial of a
    search returns its ending instead, and what repeats a run (`reproduce`) the exit status: 1 where
    the two differ.
    """
    # Torch takes seconds to import: composing and checking a config must not wait for it.
    from timbrel.stages import reproduction, training_run, trial_run

    if config.dry_run:
        sys.stdout.write(trial_run.dry_run(config) + "\n")
        return None
    done = training_run.train(config)
    sys.stdout.write(done.line + "\n")
    if done.original is not None:
        return 0 if reproduction.tell(done.original, Path(done.ending.folder)) else 1
    return done.ending.to_json() if VARIABLE in os.environ else done.number
