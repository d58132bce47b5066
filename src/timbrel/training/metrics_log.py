"""`metrics.csv`: one row per logged value, appended as it comes, cut back on resume.

Columns `step,name,value`. Long rather than wide, so that a killed run leaves a readable file and a
resumed one can be cut to its checkpoint; `pandas.read_csv(path).pivot(index="step",
columns="name", values="value")` gives the wide table. `timbrel.analysis.run_folder.read_metrics`
reads it.
"""

import csv
import os
from collections.abc import Mapping
from pathlib import Path

HEADER = ("step", "name", "value")


class MetricsLog:
    """An append-only CSV of values by step; written through at every call."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            self._write("w", [HEADER])

    def append(self, step: int, values: Mapping[str, float]) -> None:
        """Add one row per value."""
        self._write("a", [(step, name, repr(float(value))) for name, value in values.items()])

    def truncate(self, last_step: int) -> None:
        """Drop rows after `last_step`, and a last line that a kill cut short."""
        written = self.path.read_bytes()
        whole = written[
            : written.rfind(b"\n") + 1
        ].decode()  # without its end, a value lacks digits
        rows = [row for row in csv.reader(whole.split("\n")) if len(row) == len(HEADER)]
        kept = [row for row in rows[1:] if int(row[0]) <= last_step]
        draft = self.path.with_suffix(".part")
        with draft.open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([HEADER, *kept])
        os.replace(draft, self.path)

    def _write(self, mode: str, rows: list[tuple[object, ...]]) -> None:
        with self.path.open(mode, newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)
