"""The page of `timbrel compare`: settings, scores, curves and sounds of runs side by side."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from timbrel.errors import UserError, override_text
from timbrel.metrics.scores import SCORES
from timbrel.report.comparison_listening import listening
from timbrel.report.figures import PALETTE, curves_figure
from timbrel.report.page import drawing, number, render_page, write_page
from timbrel.runs.comparison import (
    MISSING,
    Difference,
    ScoreRow,
    cautions,
    compared_part,
    differences,
    objectives_differ,
    score_rows,
    wins,
)
from timbrel.runs.folder import Run, held_out_loss
from timbrel.runs.summary import (
    ELAPSED,
    Score,
    choice,
    elapsed_s,
    parameter_count,
    steps_done,
)
from timbrel.words import duration, printable

MOST_RUNS = len(PALETTE)
_LETTERS = "ABCDEFGHIJ"
_ABSENT = "not there"
_UNKNOWN = number(None)
_UNDRAWN = frozenset(
    [
        ELAPSED,
        "train/learning_rate",
        "train/gradient_norm",
        "validation/phase",
        "validation/recordings",
    ]
)


@dataclass(frozen=True)
class Cell:
    """A score: its words, its interval's, and whether it is the best of its row."""

    mean: str
    interval: str
    best: bool

    @property
    def line(self) -> str:
        """On one line: mean and interval."""
        return f"{self.mean} [{self.interval}]" if self.interval else self.mean


@dataclass(frozen=True)
class Drawing:
    """One curve of all runs, by step, and by time where the runs kept one."""

    title: str
    by_step: Markup
    by_time: Markup | None


def write_comparison(runs: Sequence[Run], path: Path) -> Path:
    """Write the page that compares `runs`, two to six, in their order; returns `path`.

    An existing file is replaced: whoever names it has asked. Raises UserError where the runs are
    too few or too many, or the file cannot be written.
    """
    if not 2 <= len(runs) <= MOST_RUNS:
        raise UserError(f"{len(runs)} runs: a comparison takes 2 to {MOST_RUNS}")
    write_page(path, comparison_page(runs))
    return path


def comparison_page(runs: Sequence[Run]) -> str:
    """The page as HTML."""
    letters = list(_LETTERS[: len(runs)])
    part = compared_part(runs)
    rows = score_rows(runs, letters, part)
    apart = differences(runs)
    clips, said = listening(runs, letters, part)
    drawings, more = _curves(runs, letters)
    return render_page(
        "compare.html.j2",
        title=" or ".join(letters) + f": {len(runs)} runs compared",
        kind="comparison",
        letters=letters,
        names=[run.name for run in runs],
        facts=_facts(runs),
        cautions=cautions(runs, letters),
        part=part,
        headings=[row.heading for row in rows],
        cells=[[_cell(row, index) for index in range(len(runs))] for row in rows],
        controls=[[row.controls.get("silence"), row.controls.get("noise")] for row in rows],
        with_controls=any(row.controls for row in rows),
        verdicts=[row.verdict for row in rows],
        result=_result(rows, letters),
        wins=_wins(runs, letters, part),
        clips=clips,
        said=said,
        drawings=drawings,
        more_drawings=more,
        objectives_differ=objectives_differ(runs),
        shared=[_setting(row) for row in apart if row.everywhere],
        partial=[_setting(row) for row in apart if not row.everywhere],
        colours=PALETTE[: len(runs)],
        folders=[str(run.folder) for run in runs],
    )


def summary(runs: Sequence[Run]) -> str:
    """The page's answer in a few lines for the terminal."""
    letters = list(_LETTERS[: len(runs)])
    part = compared_part(runs)
    rows = score_rows(runs, letters, part)
    lines = [f"{letter}  {printable(run.name)}" for letter, run in zip(letters, runs, strict=True)]
    lines += [f"careful: {item.heading}: {item.text}" for item in cautions(runs, letters)]
    table = [[row.heading, *(_cell(row, i).line for i in range(len(runs))), row.verdict]
             for row in rows]  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for cells in table:
        padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        lines.append("  ".join(padded).rstrip())
    return "\n".join([*lines, _result(rows, letters)]) + "\n"


def _facts(runs: Sequence[Run]) -> list[tuple[str, list[str]]]:
    """What the runs are, a row per fact, a column per run."""
    best = [found[1] if (found := held_out_loss(run.curves).kept()) else None for run in runs]
    data = [(run.config.get("data") or {}).get("name") or _trained_on(run) for run in runs]
    sizes = [parameter_count(run, _model(run)) for run in runs]
    limits = [(run.config.get("trainer") or {}).get("max_time") for run in runs]
    times = [
        duration(seconds)
        if (seconds := elapsed_s(run)) is not None
        else f"limit {limit or _UNKNOWN}"
        for run, limit in zip(runs, limits, strict=True)
    ]
    seeds = [run.provenance.get("seed", run.card.get("seed")) for run in runs]
    return [
        ("recordings", [str(name or _UNKNOWN) for name in data]),
        ("architecture", [choice(run, "architecture") or _UNKNOWN for run in runs]),
        ("latent", [choice(run, "latent") or _UNKNOWN for run in runs]),
        ("parameters", [f"{size:,}" if size else _UNKNOWN for size in sizes]),
        (
            "training steps",
            [f"{n:,}" if n else _UNKNOWN for n in map(steps_done, runs)],
        ),
        ("training time", times),
        ("seed", [_UNKNOWN if seed is None else str(seed) for seed in seeds]),
        ("best held-out loss", [number(value) for value in best]),
    ]


def _trained_on(run: Run) -> str:
    return ", ".join(map(str, (run.card.get("trained_on") or {}).get("names") or ()))


def _model(run: Run) -> Path:
    return run.folder / "model" if (run.folder / "model").is_dir() else run.folder


def _cell(row: ScoreRow, index: int) -> Cell:
    score: Score | None = row.scores[index]
    if score is None or math.isnan(score.mean):
        return Cell(_UNKNOWN, "", False)
    interval = f"{number(score.low)} to {number(score.high)}" if score.has_interval else ""
    return Cell(number(score.mean), interval, row.best == index)


def _result(rows: Sequence[ScoreRow], letters: Sequence[str]) -> str:
    """One sentence: which run is better, as far as the scores can tell."""
    if not rows:
        return "No run has scores yet."
    ahead = {
        letter: [SCORES[row.metric].title for row in rows if row.best == index]
        for index, letter in enumerate(letters)
    }
    told = [f"{letter} is better by {_and(names)}" for letter, names in ahead.items() if names]
    if told:
        rest = len(rows) - sum(map(len, ahead.values()))
        return "; ".join(told) + (f"; {rest} of {len(rows)} scores do not decide." if rest else ".")
    if all(not score.has_interval for row in rows for score in row.scores if score):
        return "There are no confidence intervals, so the differences may be chance."
    behind = {
        letter: [SCORES[row.metric].title for row in rows if index in row.behind]
        for index, letter in enumerate(letters)
    }
    lost = [f"{letter} is behind by {_and(names)}" for letter, names in behind.items() if names]
    if lost:
        close = [letter for letter, names in behind.items() if not names]
        return f"{_and(close)} cannot be told apart by these scores; {'; '.join(lost)}."
    return "No run is significantly better on these files. Listen to them, or score more files."


def _and(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _wins(runs: Sequence[Run], letters: Sequence[str], part: str) -> str:
    """Which run is best on how many files: paired, so that differences of the files cancel."""
    counts, files = wins(runs, part, "mrstft")
    if not files:
        return ""
    told = ", ".join(f"{letter} in {n}" for letter, n in zip(letters, counts, strict=True))
    return f"File by file, the best MR-STFT belongs to {told} of {files} {part} files."


def _setting(row: Difference) -> tuple[str, list[str], str]:
    also = f"and {row.places - 1} more of that name" if row.places > 1 else ""
    return (
        row.key,
        [_ABSENT if value is MISSING else override_text(value) for value in row.values],
        also,
    )


def _curves(runs: Sequence[Run], letters: Sequence[str]) -> tuple[list[Drawing], list[Drawing]]:
    """Held-out curves first, then those of training; each that two runs or more have."""
    names = dict.fromkeys(name for run in runs for name in run.curves)
    common = [
        name
        for name in names
        if name not in _UNDRAWN and sum(len(run.curves.get(name, ())) > 1 for run in runs) > 1
    ]
    common.sort(key=lambda name: (not name.endswith("/loss"), not name.startswith("validation")))
    held_out = [name for name in common if name.startswith("validation/")]
    other = [name for name in common if name not in held_out]
    return [_drawing(name, runs, letters) for name in held_out], [
        _drawing(name, runs, letters) for name in other
    ]


def _drawing(name: str, runs: Sequence[Run], letters: Sequence[str]) -> Drawing:
    place, _, term = name.partition("/")
    title = ("held-out " if place == "validation" else f"{place} ") + term.replace("_", " ")
    curves = {letter: run.curves.get(name, []) for run, letter in zip(runs, letters, strict=True)}
    by_step = drawing(
        curves_figure(_drawn(curves), y_label=title, size_in=(5.2, 2.9)), f"{title} by step"
    )
    timed = {
        letter: _by_time(curves[letter], run.curves.get(ELAPSED, []))
        for run, letter in zip(runs, letters, strict=True)
    }
    if sum(len(points) > 1 for points in timed.values()) < 2:
        return Drawing(title, by_step, None)
    figure = curves_figure(
        _drawn(timed), y_label=title, x_label="training time, s", size_in=(5.2, 2.9)
    )
    return Drawing(title, by_step, drawing(figure, f"{title} by training time"))


def _drawn(curves: dict[str, list[tuple[float, float]]]) -> dict[str, list[tuple[float, float]]]:
    """An absent curve keeps its place, so that a run has one colour on the whole page."""
    return {letter: points or [(math.nan, math.nan)] for letter, points in curves.items()}


def _by_time(
    points: Sequence[tuple[int, float]], clock: Sequence[tuple[int, float]]
) -> list[tuple[float, float]]:
    """`points` over seconds: those whose step the clock knows."""
    seconds = dict(clock)
    return [(seconds[step], value) for step, value in points if step in seconds]
