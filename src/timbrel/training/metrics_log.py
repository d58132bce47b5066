"""`metrics.csv`: one row per logged value, appended as it comes, cut back on resume.

Columns `step,name,value`. Long rather than wide, so that a killed run leaves a readable file and a
resumed one can be cut to its checkpoint; `pandas.read_csv(path).pivot(index="step",
columns="name", values="value")` gives the wide table. `timbrel.runs.folder.read_metrics`
reads it.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from timbrel.errors import UserError
from timbrel.files import write_error, write_text

HEADER = ("step", "name", "value")


class StepTable:
    """An append-only CSV whose first column is the step; written through at every call.

    Raises WriteError where the disk refuses it.
    """

    def __init__(self, path: Path, header: Sequence[str]) -> None:
        self.path, self.header = path, tuple(header)
        if not path.exists():
            self._write("w", [self.header])

    def append(self, rows: Sequence[Sequence[object]]) -> None:
        """Add rows, each as wide as the header."""
        self._write("a", rows)

    def truncate(self, last_step: int) -> None:
        """Drop rows after `last_step`, and a last line that a kill cut short.

        Raises UserError where the file is no such table any more.
        """
        try:
            written = self.path.read_bytes()
            whole = written[: written.rfind(b"\n") + 1].decode()  # a cut value lacks digits
            rows = [row for row in csv.reader(whole.split("\n")) if len(row) == len(self.header)]
            kept = [row for row in rows[1:] if int(row[0]) <= last_step]
        except (OSError, ValueError, csv.Error) as error:
            raise UserError(
                f"'{self.path}' is damaged ({error}); move it away to go on without its rows up "
                f"to step {last_step}"
            ) from error
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([self.header, *kept])
        write_text(self.path, text.getvalue())

    def _write(self, mode: str, rows: Sequence[Sequence[object]]) -> None:
        try:
            with self.path.open(mode, encoding="utf-8", newline="") as file:
                csv.writer(file, lineterminator="\n").writerows(rows)
        except OSError as error:
            raise write_error(self.path, error) from error


class MetricsLog:
    """Values by step, a row each."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._table = StepTable(path, HEADER)

    def append(self, step: int, values: Mapping[str, float]) -> None:
        """Add one row per value."""
        self._table.append([(step, name, repr(float(value))) for name, value in values.items()])

    def truncate(self, last_step: int) -> None:
        """Drop rows after `last_step`, and a last line that a kill cut short."""
        self._table.truncate(last_step)
