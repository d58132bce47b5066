"""How long a step of a study takes, for what it will cost: measured by a dry run."""

import math
import re
import subprocess
from collections.abc import Mapping, Sequence

from timbrel.sweeps.plan import PlannedRun
from timbrel.sweeps.runner import TRAIN

_LONGEST_S = 300.0
_STEP = re.compile(r"^step +([\d.]+) s", re.MULTILINE)


def step_seconds(runs: Sequence[PlannedRun], environment: Mapping[str, str]) -> float:
    """The mean over the architectures of `runs`, one cell each; nan where none could be measured.

    Each is `timbrel train ... dry_run=true`, which takes a few steps and writes nothing.
    """
    found = [_of(run, environment) for run in _one_of_each(runs)]
    known = [seconds for seconds in found if not math.isnan(seconds)]
    return sum(known) / len(known) if known else math.nan


def _one_of_each(runs: Sequence[PlannedRun]) -> list[PlannedRun]:
    chosen: dict[str, PlannedRun] = {}
    for run in runs:
        words = [text for text in run.overrides if text.startswith("architecture=")]
        chosen.setdefault(" ".join(words), run)
    return list(chosen.values())


def _of(run: PlannedRun, environment: Mapping[str, str]) -> float:
    words = [*TRAIN, *run.overrides, "dry_run=true"]
    try:
        done = subprocess.run(
            words,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_LONGEST_S,
            env=dict(environment),
        )
    except subprocess.TimeoutExpired:
        return math.nan
    step = _STEP.search(done.stdout)
    return float(step[1]) if step else math.nan
