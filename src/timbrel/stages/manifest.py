"""The manifest of a batch: a CSV beside its sounds, one line each, by which it goes on."""

import os
from collections.abc import Mapping
from pathlib import Path

from timbrel.stages.line_table import LineTable

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
        self.settings = settings
        self._table = LineTable(
            folder / NAME,
            _COLUMNS,
            what="manifest of sounds",
            way_out="name another folder by output=, or move the file",
        )
        self._done = {
            int(row["seed"]): row["file"]
            for row in self._table.rows
            if row["seed"].isdigit() and row["settings"] == settings
        }

    @property
    def path(self) -> Path:
        """Its file."""
        return self._table.path

    def holds(self, seed: int) -> bool:
        """Whether the sound of `seed` is done."""
        name = self._done.get(seed)
        return name is not None and os.path.isfile(self.path.parent / name)

    def add(self, seed: int, file: Path, found: Mapping[str, object]) -> None:
        """One line more. Raises WriteError where it cannot be written."""
        self._table.add({"file": file.name, "seed": seed, "settings": self.settings} | dict(found))
        self._done[seed] = file.name
