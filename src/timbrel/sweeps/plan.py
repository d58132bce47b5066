"""The grid before it runs: every run with its state, and what is left in time."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from timbrel.errors import UserError
from timbrel.sweeps.analysis import standing_of
from timbrel.sweeps.record import Standing, State, read_record
from timbrel.sweeps.signature import FileDigests, Signature, Signing
from timbrel.sweeps.study import Cell, Study
from timbrel.words import duration, duration_s

SWEEPS = Path("sweeps")
_STARTUP_S = 30.0  # imports, decoding, scoring, report; only until a run of the study was measured
_ANALYSIS_S = {"quick": 120.0, "full": 600.0}  # on one core, likewise


@dataclass(frozen=True)
class PlannedRun:
    """One training, and its analysis if the study has them: a cell with a seed."""

    cell: Cell
    seed: int
    folder: Path
    overrides: tuple[str, ...]
    """Of `timbrel train`, without its folder."""
    config: Mapping[str, Any]
    """Resolved."""
    signature: Signature
    standing: Standing
    analysis: str | None = None
    """The profile of `timbrel analyze` that follows the training; None without one."""

    @property
    def label(self) -> str:
        """As people read it."""
        return f"{self.cell.label} seed={self.seed}"

    def to_json(self) -> dict[str, Any]:
        """The run in what JSON knows, for a process that is to run it."""
        return asdict(self) | {"folder": str(self.folder)}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "PlannedRun":
        """The run that `to_json` made `record` of."""
        settings = tuple((key, value) for key, value in record["cell"]["settings"])
        found = record["standing"]
        return cls(
            cell=Cell(settings, record["cell"]["folder"]),
            seed=record["seed"],
            folder=Path(record["folder"]),
            overrides=tuple(record["overrides"]),
            config=record["config"],
            signature=Signature(**record["signature"]),
            standing=Standing(**{**found, "state": State(found["state"])}),
            analysis=record["analysis"],
        )


@dataclass(frozen=True)
class Estimate:
    """What is left: seconds (nan where nobody can know), and where the figure comes from."""

    seconds: float
    source: str
    analyses: str = ""
    """How much of it is analyses, to be put behind the source; empty without any."""


def run_folder(study: str, cell: Cell, seed: int) -> Path:
    """`sweeps/<study>/<cell>/seed<k>`."""
    return SWEEPS / study / cell.folder / f"seed{seed}"


def plan_run(
    study: Study,
    cell: Cell,
    seed: int,
    overrides: Sequence[str],
    config: Mapping[str, Any],
    signing: Signing,
) -> PlannedRun:
    """The run of `cell` with `seed`, and how it stands.

    Raises UserError where its folder holds something else, which a run would overwrite.
    """
    folder, signature = run_folder(study.name, cell, seed), signing.sign(config)
    if folder.is_dir() and read_record(folder) is None and any(map(_is_seen, folder.iterdir())):
        raise UserError(f"'{folder}' holds files of no run of this study; move them away")
    stands = standing_of(folder, signature, study.analyze, signing.digests)
    return PlannedRun(
        cell, seed, folder, tuple(overrides), config, signature, stands, study.analyze
    )


def standing_now(run: PlannedRun, digests: FileDigests) -> PlannedRun:
    """`run`, with how it stands by now."""
    return replace(run, standing=standing_of(run.folder, run.signature, run.analysis, digests))


def _is_seen(path: Path) -> bool:
    return not path.name.startswith(".")  # else half a record, or what a file browser left


def estimate(runs: Sequence[PlannedRun], jobs: int, step_s: float = math.nan) -> Estimate:
    """How long the runs that are not finished will take, `jobs` at a time.

    A cell is taken to need what its finished runs took, else what the study's took on average,
    else its limit and half a minute around it: `trainer.max_steps` of `step_s` seconds, or
    `trainer.max_time`, whichever comes first. A run to resume counts whole. An analysis is taken to
    need what those of its cell took, else those of the study, else what its profile needs.
    """
    left = [run for run in runs if run.standing.state is not State.finished]
    trained = _by_cell((run.cell, run.standing.seconds) for run in runs)
    analyzed = _by_cell((run.cell, run.standing.analysis_s) for run in runs)
    training_s = analysis_s = 0.0
    for run in left:
        if not run.standing.trained:
            took_s = _mean_s(trained, run.cell)
            training_s += _limit_s(run.config, step_s) if took_s is None else took_s
        if run.analysis is not None:
            took_s = _mean_s(analyzed, run.cell)
            analysis_s += _ANALYSIS_S[run.analysis] if took_s is None else took_s
    # The last runs of a batch leave jobs idle: count whole rounds.
    rounds = math.ceil(len(left) / jobs) / len(left) if left else 0.0
    source = "measured" if trained else "its limit and half a minute a run"
    if math.isnan(training_s):
        source = "estimated when it starts: trainer.max_steps counts, not time"
    analyses = f"; analyses {duration(analysis_s * rounds)}" if analysis_s else ""
    return Estimate((training_s + analysis_s) * rounds, source, analyses)


def _by_cell(measured: Iterable[tuple[Cell, float | None]]) -> dict[Cell, list[float]]:
    """The known seconds of each cell."""
    found: dict[Cell, list[float]] = {}
    for cell, seconds in measured:
        if seconds:
            found.setdefault(cell, []).append(seconds)
    return found


def _mean_s(measured: Mapping[Cell, Sequence[float]], cell: Cell) -> float | None:
    """The mean of a cell, else of all; None where none is known."""
    known = measured.get(cell) or [seconds for values in measured.values() for seconds in values]
    return sum(known) / len(known) if known else None


def plan_text(study: Study, runs: Sequence[PlannedRun], jobs: int) -> str:
    """The grid, a row per cell and a column per seed, and what is left."""
    cells = list(dict.fromkeys(run.cell for run in runs))
    by_place = {(run.cell, run.seed): run for run in runs}
    rows = [["", *(f"seed {seed}" for seed in study.seeds)]]
    for cell in cells:
        states = [str(by_place[cell, seed].standing.state) for seed in study.seeds]
        rows.append([cell.label, *states])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    table = [
        "  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    why = [
        f"{run.label}: {run.standing.state}: {run.standing.reason}"
        for run in runs
        if run.standing.reason
    ]
    head = f"study {study.name}: {study.question}"
    return "\n".join([head, *table, *why, _left(study, runs, jobs)]) + "\n"


def _left(study: Study, runs: Sequence[PlannedRun], jobs: int) -> str:
    cells = len({run.cell for run in runs})
    left = sum(run.standing.state is not State.finished for run in runs)
    words = [f"cells x seeds: {cells} x {len(study.seeds)} = {len(runs)} runs"]
    if not left:
        return words[0] + ": all finished"
    words.append(f"{left} to go")
    found = estimate(runs, jobs)
    at_once = f", {jobs} at a time" if jobs > 1 else ""
    if math.isnan(found.seconds):
        words.append(f"how long: {found.source}{found.analyses}")
    else:
        words.append(f"about {duration(found.seconds)}{at_once} ({found.source}{found.analyses})")
    if study.budget_s is not None:
        over = found.seconds > study.budget_s
        words.append(f"budget {duration(study.budget_s)}{': too little' if over else ''}")
    return "; ".join(words)


def _limit_s(config: Mapping[str, Any], step_s: float) -> float:
    trainer = config["trainer"]
    limits = []
    if trainer.get("max_steps"):
        limits.append(trainer["max_steps"] * step_s)
    if trainer.get("max_time"):
        try:
            limits.append(duration_s(str(trainer["max_time"])))
        except UserError:
            return math.nan  # refused by the config's own checks
    # Steps whose time nobody knows may end before any time limit.
    return math.nan if any(map(math.isnan, limits)) else min(limits, default=math.nan) + _STARTUP_S
