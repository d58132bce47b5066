"""A CSV of files that are made one by one: a line each, by which the same command goes on."""

import csv
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from timbrel.errors import UserError
from timbrel.files import write_error, write_text

if TYPE_CHECKING:
    from timbrel.library.instrument import Instrument


class LineTable:
    """The lines of the CSV at `path`, which has these `columns`; it is begun where there is none.

    `what` names such a file in messages, `way_out` is what they advise. A line that was cut is
    taken away. Raises UserError where the file is none of that kind.
    """

    def __init__(self, path: Path, columns: Sequence[str], *, what: str, way_out: str) -> None:
        self.path = path
        self.columns = columns
        self.rows: list[dict[str, str]] = []
        if path.exists():
            self._read(what, way_out)
        else:
            write_text(path, self._line(dict(zip(columns, columns, strict=True))))

    def add(self, row: Mapping[str, object]) -> None:
        """One line more. Raises WriteError where it cannot be written."""
        try:
            with self.path.open("a", encoding="utf-8", errors="surrogateescape", newline="") as out:
                out.write(self._line(row))
        except OSError as error:
            raise write_error(self.path, error) from error

    def _read(self, what: str, way_out: str) -> None:
        try:
            text = self.path.read_text("utf-8", "surrogateescape")
            whole = text[: text.rfind("\n") + 1]
            rows = list(csv.DictReader(io.StringIO(whole)))
        except (OSError, ValueError, csv.Error) as error:
            raise UserError(f"'{self.path}' cannot be read: {error}; {way_out}") from error
        if text.split("\n", 1)[0].rstrip("\r") != ",".join(self.columns):
            raise UserError(f"'{self.path}' is no {what}; {way_out}")
        if whole != text:
            write_text(self.path, whole)
        self.rows = [row for row in rows if None not in row.values()]

    def _line(self, row: Mapping[str, object]) -> str:
        text = io.StringIO()
        csv.DictWriter(text, self.columns, restval="", lineterminator="\n").writerow(row)
        return text.getvalue()


def digest_of(facts: Mapping[str, object]) -> str:
    """What tells one set of `facts`, which JSON knows, from another."""
    return hashlib.blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=6).hexdigest()


def part_digest(instrument: "Instrument", name: str) -> str:
    """What tells one state of a part of the model from another; empty where it has none."""
    part = instrument.bundle.part(name)
    return "" if part is None else (part / "part.json").read_text("utf-8")
