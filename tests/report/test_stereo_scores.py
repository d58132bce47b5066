"""Scores that exist of stereo alone: a column where there are values, else nothing."""

import csv
from pathlib import Path

import pytest

from timbrel.metrics.scores import SCORES
from timbrel.report.run_report import write_run_report
from timbrel.report.run_scores import scores
from timbrel.runs.folder import read_run

HEADING = SCORES["width_error"].heading


def add_width(run: Path, value: str) -> None:
    """The column `width_error` in files.csv, and rows in summary.csv where there is a value."""
    path = run / "evaluation" / "files.csv"
    with path.open(newline="") as file:
        rows = [{**row, "width_error": value} for row in csv.DictReader(file)]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    if value:
        with (run / "evaluation" / "summary.csv").open("a") as file:
            file.write(f"test,model,width_error,{value},{value},{value},6\n")


@pytest.mark.parametrize("value", [None, ""], ids=["an older table", "mono"])
def test_a_run_without_a_width_has_no_column_of_it(silent_run, page, value: str | None) -> None:
    if value is not None:
        add_width(silent_run, value)
    shown = page(write_run_report(silent_run)).words
    assert HEADING not in shown
    assert SCORES["loudness_error_lu"].heading in shown
    assert "nan" not in shown.split()


def test_a_stereo_run_has_it_in_both_tables(silent_run, page) -> None:
    add_width(silent_run, "0.123")
    shown = page(write_run_report(silent_run)).words
    assert shown.count(HEADING) >= 2
    assert SCORES["width_error"].meaning in shown
    assert shown.count("0.123") >= 6 + 1
    columns = dict(scores(read_run(silent_run)).columns)
    assert HEADING in columns
