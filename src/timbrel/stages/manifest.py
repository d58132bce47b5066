"""The manifest of a batch: a CSV beside its sounds, one line each, by which it goes on."""

import csv
import io
import os
from collections.abc import Mapping
from pathlib import Path

from timbrel.errors import UserError
from timbrel.files import write_error, write_text

NAME = "manifest.csv"
_COLUMNS = (
    "file",
    "seed",
    "seconds",
    "peak_dbtp",
    "gain_db",
    "made_of",
    "nearest",
    "nearest_share",
    "settings",
)


class Manifest:
    """The lines of `manifest.csv` in `folder`; `settings` is the digest of those of this batch.

    A sound is done where a line with its seed and these settings stands there, and its file too.
    Raises UserError where a file of that name is no manifest.
    """

    def __init__(self, folder: Path, settings: str) -> None:
        self.path = folder / NAME
        self.settings = settings
        self._done: dict[int, str] = {}
        if self.path.exists():
            self._read()
        else:
            write_text(self.path, _line({column: column for column in _COLUMNS}))

    def _read(self) -> None:
        try:
            text = self.path.read_text("utf-8", "surrogateescape")
            rows = list(csv.DictReader(io.StringIO(text)))
        except (OSError, ValueError, csv.Error) as error:
            raise UserError(f"'{self.path}' cannot be read: {error}; {_WAY_OUT}") from error
        if text.split("\n", 1)[0].rstrip("\r") != ",".join(_COLUMNS):
            raise UserError(f"'{self.path}' is no manifest of sounds; {_WAY_OUT}")
        for row in rows:
            whole = None not in row.values() and str(row["seed"]).isdigit()
            if whole and row["settings"] == self.settings:
                self._done[int(row["seed"])] = str(row["file"])
        if not text.endswith("\n"):  # a line that was cut
            write_text(self.path, text.rpartition("\n")[0] + "\n")

    def holds(self, seed: int) -> bool:
        """Whether the sound of `seed` is done."""
        name = self._done.get(seed)
        return name is not None and os.path.isfile(self.path.parent / name)

    def add(self, seed: int, file: Path, found: Mapping[str, object]) -> None:
        """One line more. Raises WriteError where it cannot be written."""
        row = {"file": file.name, "seed": seed, "settings": self.settings} | dict(found)
        try:
            with self.path.open("a", encoding="utf-8", errors="surrogateescape", newline="") as out:
                out.write(_line(row))
        except OSError as error:
            raise write_error(self.path, error) from error
        self._done[seed] = file.name


_WAY_OUT = "name another folder by output=, or move the file"


def _line(row: Mapping[str, object]) -> str:
    text = io.StringIO()
    csv.DictWriter(text, _COLUMNS, restval="", lineterminator="\n").writerow(row)
    return text.getvalue()
