"""The page of a study: answer, figure, tables, and every cell's sound of the same files."""

from pathlib import Path

from timbrel.report.comparison_listening import Clip, listening
from timbrel.report.page import drawing, render_page, write_page
from timbrel.sweeps.figure import study_figure
from timbrel.sweeps.results import StudyResult
from timbrel.sweeps.tables import comparison_rows, notes, score_rows


def write_study_page(result: StudyResult, path: Path) -> Path:
    """Write the page, whole or not at all."""
    clips, said = _sounds(result)
    figure = drawing(study_figure(result), f"Scores of every cell of {result.study.name}")
    axes = len(result.study.axes)
    tables = [score_rows(result), comparison_rows(result)]
    columns = [
        [(heading, "number" if index >= axes else "") for index, heading in enumerate(headings)]
        for headings, _ in tables
    ]
    html = render_page(
        "study.html.j2",
        kind="study",
        title=result.study.name,
        lead=result.study.question,
        command=result.command,
        figure=figure,
        score_columns=columns[0],
        score_rows=tables[0][1],
        comparison_columns=columns[1],
        comparison_rows=tables[1][1],
        notes=notes(result),
        failures=[(c.cell.label, seed, why) for c in result.cells for seed, why in c.failures],
        clips=clips,
        said=said,
    )
    write_page(path, html)
    return path


def _sounds(result: StudyResult) -> tuple[list[Clip], str]:
    """The files that every cell's first common seed reconstructed, as many as a page can carry."""
    heard = [cell for cell in result.cells if cell.runs]
    if not heard:
        return [], "No cell has finished yet."
    common = [seed for seed in heard[0].runs if all(seed in cell.runs for cell in heard)]
    if not common:
        return [], "No seed has finished in every cell: there is nothing to set side by side."
    seed = min(common)
    labels = [cell.cell.label for cell in heard]
    clips, said = listening([cell.runs[seed] for cell in heard], labels, result.part)
    return clips, f"Seed {seed}. {said}"
