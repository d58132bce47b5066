"""The sliders of a run's model, for its page: how well each does one thing, and how it sounds."""

from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from timbrel.report.page import number
from timbrel.report.run_listening import heard
from timbrel.report.run_warnings import command
from timbrel.runs.folder import ANALYSIS_FOLDER, Run, read_table

HEADINGS = (
    ("slider", ""),
    ("verdict", ""),
    ("SDOT [95 %]", "number"),
    ("by chance", "number"),
    ("plain processing", "number"),
    ("purity", "number"),
    ("lowest quarter", "number"),
    ("monotone", "number"),
    ("range", "number"),
    ("smooth", "number"),
    ("also moves", ""),
    ("moves by", ""),
    ("from", "number"),
    ("to", "number"),
    ("lands within", "number"),
)
_NUMBERS = (
    "lowest", "highest", "sdot", "low", "high", "purity", "purity_p25", "monotonicity", "range",
    "smoothness", "leak", "null", "reference", "open_loop_error", "n",
)  # fmt: skip
_HEARD_S = 3.0
_THUMB_IN, _THUMB_DPI = (1.9, 1.2), 100


@dataclass(frozen=True)
class Traversal:
    """One slider on one sound, from its lowest position to its highest."""

    axis: str
    sounds: tuple[tuple[Markup, Markup], ...]


@dataclass(frozen=True)
class Sliders:
    """The section of the page."""

    said: str
    rows: tuple[tuple[str, ...], ...]
    reasons: tuple[tuple[str, str], ...]
    traversals: tuple[Traversal, ...]
    command: str


def sliders(run: Run) -> Sliders | None:
    """The section made of `analysis/`; None if the run was not analysed."""
    folder = run.folder / ANALYSIS_FOLDER
    table = read_table(folder / "sliders.csv", _NUMBERS)
    if not table:
        return None
    judged = [row for row in table if row["kind"] not in ("none", "gain")]
    anchors = max((row["n"] for row in judged), default=0)
    said = (
        "Each slider moves one thing of a sound. It was found on some sounds and judged on "
        f"others (up to {anchors:.0f}), each decoded and measured at nine positions. SDOT is 1 "
        "where only that moves, all the way and always in one direction; a slider is ok from 0.6 "
        "on, if chance (random directions) comes to less. What it also moves, and how far, is "
        "in spreads: the middle half of the recordings."
    )
    return Sliders(
        said=said,
        rows=tuple(_row(row) for row in judged),
        reasons=tuple((row["axis"], row["why"]) for row in table if row["why"]),
        traversals=tuple(t for t in (_traversal(run, row) for row in judged) if t is not None),
        command=command("timbrel", "generate", f"model={run.folder}", "controls.timbre=0.5"),
    )


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    interval = f"{row['sdot']:.2f} [{row['low']:.2f}, {row['high']:.2f}]"
    leak = f"{row['leaks_to']} {row['leak']:.2f}" if row["leaks_to"] else ""
    names = ("purity", "purity_p25", "monotonicity", "range", "smoothness")
    return (
        row["axis"],
        row["verdict"],
        interval,
        f"{row['null']:.2f}",
        f"{row['reference']:.2f}",
        *(f"{row[name]:.2f}" for name in names),
        leak,
        row["operator"],
        f"{row['lowest']:+.2f}",
        f"{row['highest']:+.2f} {row['unit']}",
        number(row["open_loop_error"]),
    )


def _traversal(run: Run, row: dict[str, Any]) -> Traversal | None:
    folder = run.folder / ANALYSIS_FOLDER / "traversals"
    paths = sorted(folder.glob(f"{row['axis']}_*.wav"))
    if not paths:
        return None
    sounds = (
        heard(
            path,
            _HEARD_S,
            f"{row['axis']}, position {index} of {len(paths)}",
            size_in=_THUMB_IN,
            dpi=_THUMB_DPI,
        )
        for index, path in enumerate(paths, 1)
    )
    return Traversal(row["axis"], tuple(sounds))
