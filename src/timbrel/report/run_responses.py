"""What moves what, and what the code tells of attributes: an analysis as two heat maps."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from timbrel.report.figures import heat_map
from timbrel.report.page import drawing, number
from timbrel.runs.folder import ANALYSIS_FOLDER, Run, read_table

MOST_SHOWN = 24
"""Rows of a heat map: more are not legible. The table beneath it has them all."""

_RANDOM = "random_"
_MOST_SPREADS = 2.0
_WORDS = {
    "log_centroid_octaves": "brightness",
    "log_f0_octaves": "pitch",
    "hnr_db": "hnr",
    "log_attack_time": "attack",
    "log_decay_octaves": "decay",
    "onsets_per_s": "onsets",
    "loudness_lufs": "level",
    "stereo_width": "width",
}


@dataclass(frozen=True)
class HeatMap:
    """A picture of a table and, for those who cannot see it, the table."""

    title: str
    said: str
    figure: Markup
    columns: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, ...], ...]


def heat_maps(run: Run) -> tuple[HeatMap, ...]:
    """Those of `analysis/` whose tables are there and have a value."""
    folder = run.folder / ANALYSIS_FOLDER
    made = (_responses(folder / "responses.csv"), _units(folder / "disentanglement_units.csv"))
    return tuple(one for one in made if one is not None)


def _responses(path: Path) -> HeatMap | None:
    table = [row for row in _numbers(path, "candidate") if row["candidate"] != "nothing"]
    random = [row for row in table if row["candidate"].startswith(_RANDOM)]
    rows = [row for row in table if row not in random]
    if random:
        axes = [name for name in random[0] if name != "candidate"]
        rows.append(
            {"candidate": f"random, largest of {len(random)}"}
            | {axis: max(_values(random, axis), default=math.nan) for axis in axes}
        )
    return _heat_map(
        rows,
        "candidate",
        "What moves what",
        "How far each attribute travels when an operator or a direction of the code goes all its "
        "way: the median over validation sounds, in spreads (the middle half of the recordings)",
        most=_MOST_SPREADS,
        label="median move, spreads",
    )


def _units(path: Path) -> HeatMap | None:
    rows = [{k: v for k, v in row.items() if k != "active"} for row in _numbers(path, "unit")]
    return _heat_map(
        rows,
        "unit",
        "What the units of the code tell",
        "How closely each unit of the code follows each attribute from sound to sound: the "
        "absolute rank correlation (1: always up together, or always down). It says what the "
        "encoder sorts, and not what the decoder does when the unit is moved",
        most=1.0,
        label="absolute rank correlation",
    )


def _heat_map(
    rows: list[dict[str, Any]], name: str, title: str, said: str, *, most: float, label: str
) -> HeatMap | None:
    """The rows by their largest value, the attributes that have none left out."""
    columns = [c for c in (rows[0] if rows else {}) if c != name and _values(rows, c)]
    if not columns:
        return None
    values = np.array([[row[column] for column in columns] for row in rows], np.float64)
    strongest = np.nan_to_num(values, nan=-1.0).max(1)
    order = np.argsort(-strongest, kind="stable")
    names = [rows[i][name] for i in order]
    values = values[order]
    shown = min(MOST_SHOWN, len(names))
    words = [_WORDS.get(column, column) for column in columns]
    best = words[int(np.nanargmax(values[0]))]
    alt = (
        f"Heat map of {shown} rows and {len(words)} attributes; the largest value is "
        f"{number(float(np.nanmax(values[0])))}: {names[0]}, {best}. The table beneath has all."
    )
    count = f"the {shown} strongest of {len(names)}" if shown < len(names) else f"all {shown}"
    return HeatMap(
        title=title,
        said=f"{said}. Shown are {count}, the strongest first.",
        figure=drawing(heat_map(values[:shown], names[:shown], words, most=most, label=label), alt),
        columns=((name, ""), *((word, "number") for word in words)),
        rows=tuple(
            (one, *(f"{value:.2f}" if np.isfinite(value) else "" for value in line))
            for one, line in zip(names, values, strict=True)
        ),
    )


def _numbers(path: Path, name: str) -> list[dict[str, Any]]:
    """The rows of a table whose columns are numbers, but for `name` and `active`."""
    header = read_table(path, ())
    columns = tuple(c for c in (header[0] if header else ()) if c not in (name, "active"))
    return read_table(path, columns)


def _values(rows: list[dict[str, Any]], column: str) -> list[float]:
    return [row[column] for row in rows if math.isfinite(row[column])]
