"""`experiments/<name>/`: the README and what it shows. What a person wrote in it stays."""

import re
from collections.abc import Sequence
from pathlib import Path

from timbrel.files import write_text
from timbrel.sweeps.figure import save_figure, study_figure
from timbrel.sweeps.page import write_study_page
from timbrel.sweeps.plan import SWEEPS, PlannedRun
from timbrel.sweeps.results import StudyResult, collect
from timbrel.sweeps.study import Study
from timbrel.sweeps.tables import csv_text, latex, markdown
from timbrel.sweeps.written import PAGE, README, remember, results_folder
from timbrel.words import duration

_OPEN, _CLOSE = "<!-- yours from here: kept when the rest is written again -->", "<!-- to here -->"
_EMPTY = "\n_Not written yet: what the table and the sounds say about the question._\n"


def write_results(study: Study, runs: Sequence[PlannedRun], command: str) -> StudyResult:
    """Write README, tables and figure into `experiments/<name>/`, the page into `sweeps/<name>/`.

    The page, which holds sounds, lies where git does not look.
    """
    result = collect(study, runs, command)
    folder = results_folder(study)
    write_study_page(result, SWEEPS / study.name / PAGE)
    save_figure(study_figure(result), folder)
    table = markdown(result)
    write_text(folder / "results.csv", csv_text(result))
    write_text(folder / "results.tex", latex(result))
    write_text(folder / "results.md", table)
    write_text(folder / README, _readme(result, table, _written_by_hand(folder / README)))
    remember(study, runs)
    return result


def _readme(result: StudyResult, table: str, meaning: str) -> str:
    study = result.study
    spent = [cell.seconds * len(cell.runs) for cell in result.cells if cell.seconds == cell.seconds]
    budget = f"{duration(study.budget_s)} for all runs. " if study.budget_s else ""
    return f"""# {study.name}

## Question

{study.question}

## Command

```
{result.command}
```

The grid is in `study.yaml`. Finished runs are not repeated; sounds of every cell are in
`{SWEEPS / study.name / PAGE}`.

## Budget

{budget}The finished ones took {duration(sum(spent))} one after another.

## Table

{table}
The same as [CSV](results.csv) and [LaTeX](results.tex).

## Figure

![Every cell's score and interval](figure.svg)

## What it means

{_OPEN}{meaning}{_CLOSE}
"""


def _written_by_hand(path: Path) -> str:
    """What stands between the markers of an earlier README."""
    if not path.is_file():
        return _EMPTY
    text = path.read_text("utf-8", "surrogateescape")
    found = re.search(re.escape(_OPEN) + "(.*?)" + re.escape(_CLOSE), text, re.DOTALL)
    if found:
        return found[1]
    # Without markers all of it may be a person's.
    aside = path.with_name("README.before.md")
    if not aside.exists():
        write_text(aside, text)
    return f"\n_The README that stood here before is in {aside.name}._\n"
