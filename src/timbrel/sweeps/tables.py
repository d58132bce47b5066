"""A study's results as Markdown, CSV and LaTeX: one set of numbers in three spellings."""

import csv
import io
import math
from collections.abc import Callable, Sequence

from timbrel.errors import override_text
from timbrel.metrics.analysis_scores import ANALYSIS_SCORES
from timbrel.metrics.scores import RUN_SCORES
from timbrel.sweeps.results import CellResult, Finding, StudyResult, score_of
from timbrel.sweeps.statistics import Estimate
from timbrel.sweeps.study import short_names

NOT_KNOWN = "\N{EN DASH}"
_ESTIMATES = ("score", "difference", "improvement")


def score_rows(result: StudyResult) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of the main table: axes, seeds, time, a score per metric."""
    axes = short_names(list(result.study.axes))
    headings = [*axes, "seeds", "min a run", *(score_of(m).heading for m in result.study.metrics)]
    rows = []
    for cell in result.cells:
        minutes = NOT_KNOWN if math.isnan(cell.seconds) else f"{cell.seconds / 60:.1f}"
        scores = [estimate_text(cell.findings[metric].score) for metric in result.study.metrics]
        rows.append([*_values(cell), cell.seeds_text, minutes, *scores])
    return headings, rows


def comparison_rows(result: StudyResult) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of every other cell beside the baseline: differences, chances to win."""
    headings = short_names(list(result.study.axes))
    for metric in result.study.metrics:
        headings += [f"difference of {score_of(metric).heading}", "P(better)"]
    rows = []
    for cell in result.cells:
        if cell.cell == result.baseline or not cell.runs:
            continue
        row = _values(cell)
        for metric in result.study.metrics:
            finding = cell.findings[metric]
            row += [
                estimate_text(finding.difference, signed=True),
                estimate_text(finding.improvement),
            ]
        rows.append(row)
    return headings, rows


def estimate_text(estimate: Estimate | None, *, signed: bool = False) -> str:
    """`0.932 [0.900, 0.964]`: three digits of what the interval leaves to know.

    >>> estimate_text(Estimate(0.93241, 0.9, 0.964, 3)), estimate_text(None) == NOT_KNOWN
    ('0.932 [0.900, 0.964]', True)
    """
    if estimate is None:
        return NOT_KNOWN
    largest = max(abs(v) for v in (estimate.value, estimate.low, estimate.high) if v == v)
    digits = 0 if largest >= 1000 else 1 if largest >= 100 else 2 if largest >= 10 else 3

    def number(value: float, sign: str = "") -> str:
        return f"{value:{sign}.{digits}f}".replace("-", "\N{MINUS SIGN}")

    text = number(estimate.value, "+" if signed else "")
    if math.isnan(estimate.low):
        return text
    return f"{text} [{number(estimate.low)}, {number(estimate.high)}]"


def notes(result: StudyResult) -> list[str]:
    """What a reader of the tables must know, as sentences."""
    how_many = f"{result.files} {result.part}" if result.files else result.part
    files = f"{how_many} file{'' if result.files == 1 else 's'}"
    lines = [
        f"Scores: interquartile mean over seeds and the {files}, with a 95 % interval over "
        "seeds (stratified bootstrap of whole seeds, Student's quantile). The arrow points to "
        "better."
    ]
    for scores, source in ((RUN_SCORES, "gates"), (ANALYSIS_SCORES, "analysis")):
        if whole := [scores[metric].title for metric in result.study.metrics if metric in scores]:
            lines.append(f"Of a whole run, one number each, of its {source}: {', '.join(whole)}.")
    if result.study.analyze:
        lines.append(
            f"Every training was followed by timbrel analyze profile={result.study.analyze}; "
            "minutes a run hold both."
        )
    if result.files is None and any(cell.runs for cell in result.cells):
        lines.append(
            "Every seed held out files of its own, so each seed counts as one value: the middle of "
            "its files. With data.split_file= all are scored on the same."
        )
    lines += [
        f"{score_of(metric).title}: without {count} file{'' if count == 1 else 's'} that "
        "have no finite score in some run."
        for metric, count in result.left_out.items()
    ]
    for metric in result.study.metrics:
        for cell in result.cells:
            score = cell.findings[metric].score
            scored = score.seeds if score else 0
            if scored < len(cell.runs):
                lines.append(
                    f"{cell.cell.label}: {score_of(metric).title} of {scored} of its "
                    f"{len(cell.runs)} seeds only, the rest has none."
                )
    if result.baseline is not None and sum(bool(cell.runs) for cell in result.cells) > 1:
        lines.append(
            "Differences and P(better), the probability of improvement (Agarwal et al. 2021): from "
            f"{result.baseline.label}, seeds paired."
        )
    if max((len(cell.runs) for cell in result.cells), default=0) == 1:
        lines.append("One seed gives no interval.")
    for cell in result.cells:
        lines += [
            f"{cell.cell.label}, seed {seed} failed: {reason}" for seed, reason in cell.failures
        ]
        if cell.waiting:
            seeds = ", ".join(map(str, cell.waiting))
            lines.append(f"{cell.cell.label}: not run yet with seed {seeds}.")
    return lines


def markdown(result: StudyResult) -> str:
    """Both tables and the notes."""
    parts = [_pipes(*score_rows(result))]
    headings, rows = comparison_rows(result)
    if rows:
        parts.append(_pipes(headings, rows))
    parts.append("\n".join(f"- {_escaped(line, _MARKDOWN)}" for line in notes(result)))
    return "\n\n".join(parts) + "\n"


def csv_text(result: StudyResult) -> str:
    """A row per cell and metric, numbers unrounded, empty where there is none."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    bounds = [f"{name}{ending}" for name in _ESTIMATES for ending in ("", "_low", "_high")]
    writer.writerow(
        ["cell", *result.study.axes, "metric", "better", "seeds", "seconds", *bounds, "failed"]
    )
    for cell in result.cells:
        for metric in result.study.metrics:
            finding = cell.findings[metric]
            failed = "; ".join(f"seed {seed}: {reason}" for seed, reason in cell.failures)
            writer.writerow(
                [
                    cell.cell.label,
                    *_values(cell),
                    metric,
                    score_of(metric).better,
                    len(cell.runs),
                    _plain(cell.seconds),
                    *_numbers(finding),
                    failed,
                ]
            )
    return file.getvalue()


def latex(result: StudyResult) -> str:
    """Both tables for booktabs, to \\input inside a table environment."""
    parts = [_tabular(*score_rows(result))]
    headings, rows = comparison_rows(result)
    if rows:
        parts.append(_tabular(headings, rows))
    told = "".join(f"% {' '.join(line.split())}\n" for line in notes(result))
    return "% Needs \\usepackage{booktabs}.\n" + told + "\n".join(parts)


def _values(cell: CellResult) -> list[str]:
    return [override_text(value) for _, value in cell.cell.settings]


def _numbers(finding: Finding) -> list[str]:
    found: list[str] = []
    for name in _ESTIMATES:
        estimate = getattr(finding, name)
        bounds = (estimate.value, estimate.low, estimate.high) if estimate else (math.nan,) * 3
        found += map(_plain, bounds)
    return found


def _plain(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.7g}"


_MARKDOWN = {character: "\\" + character for character in "\\|*<`"}  # latent_dim is no emphasis
_LATEX = {
    **{character: "\\" + character for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\N{MINUS SIGN}": "$-$",
    "\N{DOWNWARDS ARROW}": r"$\downarrow$",
    "\N{UPWARDS ARROW}": r"$\uparrow$",
    NOT_KNOWN: "--",
    "\n": " ",
}


def _escaped(text: str, table: dict[str, str]) -> str:
    return "".join(table.get(character, character) for character in text)


def _pipes(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    spelled = _spelled(headings, rows, lambda text: _escaped(text.replace("\n", " "), _MARKDOWN))
    lines = [f"| {' | '.join(row)} |" for row in spelled]
    return "\n".join([lines[0], "|" + "---|" * len(headings), *lines[1:]])


def _tabular(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    spelled = _spelled(headings, rows, lambda text: _escaped(text, _LATEX))
    # After \\ and \midrule a bracket or a star would be an argument of theirs.
    lines = [("{}" if row[0][:1] in "[*" else "") + " & ".join(row) + r" \\" for row in spelled]
    return "\n".join(
        [
            rf"\begin{{tabular}}{{{'l' * len(headings)}}}",
            r"\toprule",
            lines[0],
            r"\midrule",
            *lines[1:],
            r"\bottomrule",
            "\\end{tabular}\n",
        ]
    )


def _spelled(
    headings: Sequence[str], rows: Sequence[Sequence[str]], spell: Callable[[str], str]
) -> list[list[str]]:
    return [[spell(text) for text in row] for row in (headings, *rows)]
