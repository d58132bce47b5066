"""The factors of the recordings in a table beside them, and their values."""

import csv
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from timbrel.data.scan.catalog import Catalog
from timbrel.report.page import number

TABLES = ("factors.csv", "SOURCES.csv")
# The page tells these from the sound itself.
_MEASURED = frozenset(
    {"file", "duration_s", "sample_rate", "sample_rate_hz", "rate_hz", "channels", "codec", "bits"}
)
_MOST_VALUES = 16
_MOST_BYTES = 10_000_000


@dataclass(frozen=True)
class Factor:
    """One column: how many training files have a value, and which values there are."""

    name: str
    files: int
    values: str


def factors(catalog: Catalog) -> tuple[str, list[Factor]]:
    """The table's name, and its columns that vary over the training files and say something.

    Texts that differ for nearly every file (notes, hashes) are left out. Nothing is found where
    there is no table, or none that can be read: it is an addition, never an obstacle.
    """
    trained = {file.path for file in catalog.training_files}
    for name in TABLES:
        rows = _rows(catalog.root / name)
        rows = [row for row in rows if row.get("file") in trained]
        if not rows:
            continue
        columns = [column for column in rows[0] if column and column not in _MEASURED]
        found = [_factor(column, [row.get(column) or "" for row in rows]) for column in columns]
        return name, [factor for factor in found if factor is not None]
    return "", []


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        if not path.is_file() or path.stat().st_size > _MOST_BYTES:
            return []
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
            # A spreadsheet's UTF-8 begins with a mark that is no part of the first column's name.
            return [row for row in csv.DictReader(stream) if None not in row]
    except (OSError, csv.Error):
        return []


def _factor(name: str, texts: list[str]) -> Factor | None:
    texts = [text for text in texts if text]
    counts = Counter(texts)
    if len(counts) < 2:
        return None
    if len(counts) <= _MOST_VALUES:
        named = sorted(counts.items(), key=lambda pair: _order(pair[0]))
        return Factor(name, len(texts), ", ".join(f"{text} ({n})" for text, n in named))
    try:
        numbers = [float(text) for text in texts]
    except ValueError:
        return None
    return Factor(name, len(texts), f"{number(min(numbers))} to {number(max(numbers))}")


def _order(text: str) -> tuple[int, float, str]:
    try:
        return 0, float(text), text
    except ValueError:
        return 1, 0.0, text
