"""Whether a study's results are written, and of which runs: asked without drawing anything."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from timbrel.files import write_text
from timbrel.sweeps.plan import SWEEPS, PlannedRun
from timbrel.sweeps.record import RECORD_FILE
from timbrel.sweeps.study import FOLDER, Study

README, PAGE = "README.md", "report.html"
_WRITTEN = "written.json"


def results_folder(study: Study) -> Path:
    """`experiments/<name>` of the working folder, also for a study that came with timbrel."""
    return FOLDER / study.name


def remember(study: Study, runs: Sequence[PlannedRun]) -> None:
    """Note that everything is written for these runs, as they stand."""
    write_text(SWEEPS / study.name / _WRITTEN, _state(study, runs))


def up_to_date(study: Study, runs: Sequence[PlannedRun]) -> bool:
    """Whether what is written tells of exactly these runs, as they stand."""
    folder = results_folder(study)
    files = [folder / name for name in (README, "results.csv", "results.tex", "results.md")]
    files += [folder / "figure.svg", folder / "figure.png", SWEEPS / study.name / PAGE]
    try:
        written = (SWEEPS / study.name / _WRITTEN).read_text("utf-8")
    except OSError:
        return False
    return all(file.is_file() for file in files) and written == _state(study, runs)


def _state(study: Study, runs: Sequence[PlannedRun]) -> str:
    about = {
        "question": study.question,
        "metrics": study.metrics,
        "budget_s": study.budget_s,
        "runs": [
            [
                str(run.folder),
                asdict(run.signature),
                str(run.standing.state),
                run.standing.reason,
                _recorded_ns(run),
            ]
            for run in runs
        ],
    }
    return json.dumps(about, indent=1) + "\n"


def _recorded_ns(run: PlannedRun) -> int:
    """When the run's record was last written: run again, a run of equal signature may differ."""
    try:
        return (run.folder / RECORD_FILE).stat().st_mtime_ns
    except OSError:
        return 0
