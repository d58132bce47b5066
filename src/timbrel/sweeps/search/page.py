"""The page of a search: its best trials and their sounds, how they were found, and what failed."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import optuna

from timbrel.errors import UserError
from timbrel.report.comparison_listening import Clip, listening
from timbrel.report.page import drawing, number, render_page, write_page
from timbrel.runs.folder import Run, read_run
from timbrel.sweeps.search.figures import front_figure, history_figure, importance_figure
from timbrel.sweeps.search.results import Tried, best, importances, tried
from timbrel.sweeps.search.search import Goals

PAGE = "report.html"
_MOST_HEARD = 3
_MOST_WRITINGS = 3


@dataclass(frozen=True)
class Found:
    """What a search has come to."""

    complete: int
    best: str
    """In a line for the terminal."""


def write_search_page(
    study: optuna.Study, goals: Goals, folder: Path, command: str, fixed: Sequence[str]
) -> Found:
    """Write `report.html` into `folder`, whole or not at all.

    `command` goes on with the search; `fixed` are the overrides that all trials share. Where other
    workers end trials meanwhile it is written again: theirs may have been written before this one.
    """
    for _ in range(_MOST_WRITINGS):
        trials = tried(study, goals)
        found = _written(study, trials, goals, folder, command, fixed)
        if trials == tried(study, goals):
            break
    return found


def _written(
    study: optuna.Study,
    trials: Sequence[Tried],
    goals: Goals,
    folder: Path,
    command: str,
    fixed: Sequence[str],
) -> Found:
    objectives = goals.objectives
    winners = best(trials, objectives)
    complete = sum(trial.state == "complete" for trial in trials)
    columns = [("trial", "number"), ("parameters", "")]
    columns += [(name, "number") for name in goals.numbers]
    clips, said = _sounds(winners, goals)
    ended = [trial for trial in trials if trial.state in ("failed", "pruned")]
    figures = []
    if complete:
        words = "The value of every trial; the line is the best so far. "
        words += "Hollow ones break a constraint." if goals.constraints else ""
        figures.append((drawing(history_figure(trials, objectives), "History"), words))
    if complete and len(objectives) == 2:
        figure = front_figure(trials, winners, objectives)
        words = "Both objectives. The line is the front: no trial is better in both."
        figures.append((drawing(figure, "Front of two objectives"), words))
    for name, shares in importances(study, goals):
        alt = f"Importance of parameters for {name}"
        figures.append(
            (drawing(importance_figure(shares), alt), f"What {name} depends on, by parameter.")
        )
    html = render_page(
        "search.html.j2",
        kind="search",
        title=study.study_name,
        lead=_lead(trials, goals),
        columns=columns,
        rows=[_row(trial, goals) for trial in winners],
        several=len(objectives) > 1,
        commands=[(trial.number, _again(trial, fixed), trial.folder) for trial in winners],
        clips=clips,
        said=said,
        figures=figures,
        ended=[(trial.number, trial.state, trial.label, trial.reason) for trial in ended],
        all_columns=[*columns, ("state", "")],
        all_rows=[[*_row(trial, goals), _state(trial)] for trial in trials],
        constraints=[limit.text for limit in goals.constraints],
        command=command,
    )
    write_page(folder / PAGE, html)
    return Found(complete, _line(winners, goals))


def _lead(trials: Sequence[Tried], goals: Goals) -> str:
    states = [trial.state for trial in trials]
    told = [f"{states.count(s)} {s}" for s in ("complete", "pruned", "failed", "running")]
    counted = ", ".join(words for words in told if not words.startswith("0 "))
    aims = " and ".join(f"{o.direction} {o.name}" for o in goals.objectives)
    return f"{len(trials)} of {goals.n_trials} trials ({counted or 'none yet'}), to {aims}."


def _row(trial: Tried, goals: Goals) -> list[str]:
    values = [number(trial.numbers.get(name)) for name in goals.numbers]
    label = trial.label + (" (the config's defaults)" if trial.at_default else "")
    return [str(trial.number), label, *values]


def _state(trial: Tried) -> str:
    if trial.same_as is not None:
        return f"same as trial {trial.same_as}"
    return f"breaks {', '.join(trial.broken)}" if trial.broken else trial.state


def _again(trial: Tried, fixed: Sequence[str]) -> str:
    """The command that trains a trial by itself."""
    own = [f"{key}={value}" for key, value in trial.overrides.items()]
    return shlex.join(["timbrel", "train", *fixed, *own])


def _line(winners: Sequence[Tried], goals: Goals) -> str:
    if not winners:
        return "no trial keeps every constraint" if goals.constraints else "no trial is complete"
    if len(goals.objectives) > 1:
        numbers = ", ".join(str(trial.number) for trial in winners)
        return f"the front: trial{'s' if len(winners) > 1 else ''} {numbers}"
    first = winners[0]
    name = goals.objectives[0].name
    return f"best: trial {first.number}, {name} {first.values[0]:.4g} ({first.label})"


def _sounds(winners: Sequence[Tried], goals: Goals) -> tuple[list[Clip], str]:
    """What the best trials make of the same held-out files."""
    runs: list[Run] = []
    labels = []
    for trial in winners:
        try:
            run = read_run(Path(trial.folder), curves=False)
        except UserError:
            continue  # moved or removed since
        if run.evaluation is not None and len(runs) < _MOST_HEARD:
            runs.append(run)
            labels.append(f"trial {trial.number}")
    if not runs:
        return [], "No trial has left sounds yet."
    audio = runs[0].evaluation_folder / "audio"
    part = next((p for p in ("validation", "test", "train") if (audio / p).is_dir()), "test")
    return listening(runs, labels, part)
