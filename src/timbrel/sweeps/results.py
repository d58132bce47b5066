"""What a study found: every cell's scores over seeds, and beside the first cell's."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from timbrel.metrics.analysis_scores import ANALYSIS_SCORES
from timbrel.metrics.scores import RUN_SCORES, SCORES, Score
from timbrel.randomness import numpy_generator
from timbrel.runs.analysis import analysis_scores
from timbrel.runs.folder import Run, read_run
from timbrel.sweeps.plan import PlannedRun
from timbrel.sweeps.record import State
from timbrel.sweeps.statistics import (
    Estimate,
    interquartile_mean,
    interval,
    paired_difference,
    probability_of_improvement,
)
from timbrel.sweeps.study import Cell, Study

DRAWS = 4000
_WHOLE_RUN = ""  # stands for the files, where a run has one number

FileScores = dict[str, float]
BySeed = dict[int, FileScores]


@dataclass(frozen=True)
class Finding:
    """One metric of one cell; None where it is the baseline, or shares no seed with it.

    `improvement` is None too where neither way is better.
    """

    score: Estimate | None
    difference: Estimate | None
    improvement: Estimate | None


@dataclass(frozen=True)
class CellResult:
    """A cell with its trainings, finished and failed, and its findings by metric."""

    cell: Cell
    runs: Mapping[int, Run]
    """Those finished, by seed."""
    failures: tuple[tuple[int, str], ...]
    """Seed and reason."""
    waiting: tuple[int, ...]
    """Seeds not run yet."""
    seconds: float
    """Mean of the finished runs, with their analysis; nan where none was measured."""
    findings: Mapping[str, Finding]

    @property
    def seeds_text(self) -> str:
        """`3`, or `2 of 3` where one is not there."""
        total = len(self.runs) + len(self.failures) + len(self.waiting)
        return str(total) if len(self.runs) == total else f"{len(self.runs)} of {total}"


@dataclass(frozen=True)
class StudyResult:
    """All there is to print of a study."""

    study: Study
    command: str
    part: str
    """Which files were scored: test, or validation where there are none."""
    files: int | None
    """How many every training was scored on; None where each seed held out its own."""
    left_out: Mapping[str, int]
    """By metric: files without a finite score in some run, which no cell is scored on."""
    cells: tuple[CellResult, ...]
    baseline: Cell | None
    """The first cell with results."""


def collect(study: Study, runs: Sequence[PlannedRun], command: str) -> StudyResult:
    """Read what the finished runs of `runs` scored, and compute the study's statistics."""
    opened = {
        (run.cell, run.seed): read_run(run.folder, curves=False)
        for run in runs
        if run.standing.state is State.finished
    }
    part = _part(opened.values())
    study = _with_scores_of(study, opened.values())
    cells = list(dict.fromkeys(run.cell for run in runs))
    tables = {
        metric: {
            cell: {
                seed: scores
                for (owner, seed), run in opened.items()
                if owner == cell and (scores := _scores(run, part, metric))
            }
            for cell in cells
        }
        for metric in study.metrics
    }
    baseline = next((cell for cell in cells if any(owner == cell for owner, _ in opened)), None)
    findings: dict[Cell, dict[str, Finding]] = {cell: {} for cell in cells}
    files: int | None = None
    left_out: dict[str, int] = {}
    for metric, table in tables.items():
        names, dropped = _common_files(table)
        if metric in SCORES and names:
            files = max(files or 0, len(names) + dropped)
        if metric in SCORES and dropped:
            left_out[metric] = dropped
        for cell in cells:
            findings[cell][metric] = _finding(study, metric, table, cell, baseline, names)
    return StudyResult(
        study=study,
        command=command,
        part=part,
        files=files,
        left_out=left_out,
        cells=tuple(_cell_result(cell, runs, opened, findings[cell]) for cell in cells),
        baseline=baseline,
    )


def _cell_result(
    cell: Cell,
    runs: Sequence[PlannedRun],
    opened: Mapping[tuple[Cell, int], Run],
    findings: Mapping[str, Finding],
) -> CellResult:
    own = [run for run in runs if run.cell == cell]
    seconds = [
        run.standing.whole_s
        for run in own
        if run.standing.state is State.finished and run.standing.whole_s
    ]
    failed = tuple((r.seed, r.standing.reason) for r in own if r.standing.state is State.failed)
    done = {run.seed: opened[cell, run.seed] for run in own if (cell, run.seed) in opened}
    waiting = tuple(r.seed for r in own if r.seed not in done and r.seed not in dict(failed))
    mean_s = sum(seconds) / len(seconds) if seconds else math.nan
    return CellResult(cell, done, failed, waiting, mean_s, findings)


def _part(runs: Iterable[Run]) -> str:
    """Test, or validation where no run scored test files."""
    parts = {row["part"] for run in runs for row in _rows(run)}
    return "validation" if "validation" in parts and "test" not in parts else "test"


def _with_scores_of(study: Study, runs: Iterable[Run]) -> Study:
    """`study`, without the scores of stereo where it names no metrics and no run has them."""
    if study.metrics != tuple(SCORES):
        return study
    rows = [row for run in runs for row in _rows(run)]
    return replace(
        study,
        metrics=tuple(
            name
            for name, score in SCORES.items()
            if not score.stereo or any(math.isfinite(row.get(name, math.nan)) for row in rows)
        ),
    )


def _rows(run: Run) -> list[dict[str, Any]]:
    found = run.evaluation.files if run.evaluation else ()
    return [row for row in found if row["system"] == "model"]


def score_of(metric: str) -> Score:
    """What the tables call `metric`, and which way is better."""
    return SCORES.get(metric) or RUN_SCORES.get(metric) or ANALYSIS_SCORES[metric]


def _scores(run: Run, part: str, metric: str) -> FileScores:
    if metric not in SCORES:
        gates = run.evaluation.gates if run.evaluation else ()
        found = {gate["gate"]: float(gate["value"]) for gate in gates}
        if metric in ANALYSIS_SCORES:
            found |= analysis_scores(run.folder)
        return {_WHOLE_RUN: found[metric]} if metric in found else {}
    rows = [row for row in _rows(run) if row["part"] == part]
    return {str(row["file"]): float(row.get(metric, math.nan)) for row in rows}


def _common_files(table: Mapping[Cell, BySeed]) -> tuple[list[str], int]:
    """The files with a finite score in every run that has any, and how many have not; ([], 0)
    where seeds held out different files, and where no file is left."""
    every = [
        scores
        for by_seed in table.values()
        for scores in by_seed.values()
        if any(map(math.isfinite, scores.values()))
    ]
    if not every or any(scores.keys() != every[0].keys() for scores in every):
        return [], 0
    finite = [name for name in every[0] if all(math.isfinite(scores[name]) for scores in every)]
    return sorted(finite), len(every[0]) - len(finite) if finite else 0


def _finding(
    study: Study,
    metric: str,
    table: Mapping[Cell, BySeed],
    cell: Cell,
    baseline: Cell | None,
    files: Sequence[str],
) -> Finding:
    own = _usable(table[cell], files)
    if not own:
        return Finding(None, None, None)
    rng = numpy_generator(0, 0, f"{study.name}/{cell.folder}/{metric}")
    score = interval(_array(own, list(own)), rng, DRAWS)
    other = _usable(table[baseline], files) if baseline is not None else {}
    shared = [seed for seed in own if seed in other]
    if cell == baseline or not shared:
        return Finding(score, None, None)
    ours, theirs = _array(own, shared), _array(other, shared)
    better, difference = score_of(metric).better, paired_difference(ours, theirs, rng, DRAWS)
    if better is None:
        return Finding(score, difference, None)
    return Finding(score, difference, probability_of_improvement(ours, theirs, better, rng, DRAWS))


def _usable(by_seed: BySeed, files: Sequence[str]) -> dict[int, list[float]]:
    """A row per seed: its common files' scores, else one value, the middle of its own files."""
    rows: dict[int, list[float]] = {}
    for seed, scores in sorted(by_seed.items()):
        finite = [value for value in scores.values() if math.isfinite(value)]
        if finite:
            rows[seed] = [scores[name] for name in files] or [interquartile_mean(np.array(finite))]
    return rows


def _array(rows: Mapping[int, list[float]], seeds: Sequence[int]) -> NDArray[np.float64]:
    return np.array([rows[seed] for seed in seeds], np.float64)
