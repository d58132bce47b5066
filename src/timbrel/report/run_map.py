"""The map of a run's sounds, for its page: a point for each, which is clicked to be heard."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_hex
from numpy.typing import NDArray

from timbrel.report.page import flac_uri, number
from timbrel.report.run_listening import excerpt
from timbrel.runs.folder import ANALYSIS_FOLDER, Run, read_table

MOST_BYTES = 2_600_000
"""All sounds of the map together, as the page holds them."""

_WIDTH, _HEIGHT, _EDGE, _SIZE = 760.0, 460.0, 18.0, 5.5
_HEARD_S = 1.0
_PALETTE = tuple(to_hex(colormaps["viridis"](level)) for level in np.linspace(0, 1, 11))
_KINDS = {"train": "training", "validation": "validation", "test": "test", "new": "new sound"}


@dataclass(frozen=True)
class _Attribute:
    unit: str
    shown: Callable[[float], float]


# In the units that the page tells them in; the analysis has them on the axes of sliders.
_ATTRIBUTES = {
    "brightness": _Attribute("Hz", lambda octaves: 2.0**octaves),
    "pitch": _Attribute("Hz", lambda octaves: 2.0**octaves),
    "hnr": _Attribute("dB", float),
    "attack": _Attribute("ms", lambda decades: 1000 * 10.0**decades),
    "decay": _Attribute("dB/s", lambda octaves: 2.0**octaves),
    "level": _Attribute("LUFS", float),
}


@dataclass(frozen=True)
class Colour:
    """An attribute that the points can show, with what the ends of the palette stand for."""

    name: str
    low: str
    high: str


@dataclass(frozen=True)
class Point:
    """A sound: its shape (an SVG path), what is told of it, its colours, and what it plays.

    `levels` has a number from 0 to 1 for each colour, or `-`; `sound` is empty where it is not
    embedded.
    """

    shape: str
    told: str
    levels: str
    fill: str
    sound: str


@dataclass(frozen=True)
class SoundMap:
    """The section of the page."""

    said: str
    hint: str
    legend: str
    alt: str
    colours: tuple[Colour, ...]
    palette: tuple[str, ...]
    points: tuple[Point, ...]
    width: float = _WIDTH
    height: float = _HEIGHT


def sound_map(run: Run) -> SoundMap | None:
    """The section made of `analysis/map.csv`; None where an analysis has left none."""
    folder = run.folder / ANALYSIS_FOLDER
    table = read_table(folder / "map.csv", ("x", "y", *_ATTRIBUTES))
    known = [a for a in _ATTRIBUTES if any(math.isfinite(row.get(a, math.nan)) for row in table)]
    if not table or not known:
        return None
    colours, levels = zip(*(_coloured(name, table) for name in known), strict=True)
    of_rows = np.stack(levels, axis=1)  # row colour
    places = _on_paper(np.array([[row["x"], row["y"]] for row in table]))
    sounds = _sounds(folder, table)
    points = tuple(
        Point(
            shape=_shape(row["kind"], *place),
            told=_told(row, known),
            levels=" ".join("-" if math.isnan(x) else f"{x:.3f}" for x in row_levels),
            fill=_fill(row_levels[0]),
            sound=sound,
        )
        for row, place, row_levels, sound in zip(table, places, of_rows, sounds, strict=True)
    )
    shares = [row["share"] for row in read_table(folder / "map_axes.csv", ("share",))]
    heard = sum(bool(point.sound) for point in points)
    counts = ", ".join(
        f"{n} {words}{'s' if kind == 'new' and n != 1 else ''}"
        for kind, words in _KINDS.items()
        if (n := sum(row["kind"] == kind for row in table))
    )
    return SoundMap(
        said=f"{len(table)} sounds ({counts}), placed by their codes (means over time): across and "
        "up are the first two principal components of the training recordings, with "
        f"{' and '.join(f'{share:.0%}' for share in shares)} of their variance. What lies close "
        "together in the code does so here only as far as these two components tell. Of large sets "
        "an even spread is shown.",
        hint=f"Click a point, or go to it with Tab and press Enter, to hear it: {heard} of "
        f"{len(points)} play, up to {_HEARD_S:g} s of each, in mono and at half the rate. Pale "
        "points do not play.",
        legend="Circles are training recordings, squares held-out ones, triangles new sounds. A "
        "point without the attribute is grey.",
        alt=f"Map of {len(table)} sounds by the first two principal components of their codes",
        colours=colours,
        palette=_PALETTE,
        points=points,
    )


def _coloured(name: str, table: Sequence[dict[str, Any]]) -> tuple[Colour, NDArray[np.float64]]:
    """The palette of an attribute, from its 5 to its 95 %, and where on it every row lies."""
    values = np.array([row.get(name, math.nan) for row in table], np.float64)
    low, high = np.nanquantile(values, [0.05, 0.95])
    attribute = _ATTRIBUTES[name]
    ends = [f"{number(attribute.shown(float(end)))} {attribute.unit}" for end in (low, high)]
    span = max(float(high - low), 1e-9)
    return Colour(name, *ends), np.clip((values - low) / span, 0.0, 1.0)


def _on_paper(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Places `(row, 2)` as coordinates of the drawing, whose y runs downwards."""
    low, high = places.min(0), places.max(0)
    share = (places - low) / np.maximum(high - low, 1e-12)
    share[:, 1] = 1 - share[:, 1]
    return _EDGE + share * (np.array([_WIDTH, _HEIGHT]) - 2 * _EDGE)


def _shape(kind: str, x: float, y: float) -> str:
    """A circle for training recordings, a square for held-out ones, a triangle for new sounds."""
    r = _SIZE
    if kind == "train":
        return f"M{x - r:.1f} {y:.1f}a{r} {r} 0 1 0 {2 * r} 0a{r} {r} 0 1 0 {-2 * r} 0Z"
    if kind == "new":
        return f"M{x:.1f} {y - 1.2 * r:.1f}l{1.2 * r:.1f} {2.2 * r:.1f}h{-2.4 * r:.1f}Z"
    return f"M{x - r:.1f} {y - r:.1f}h{2 * r}v{2 * r}h{-2 * r}Z"


def _fill(level: float) -> str:
    if math.isnan(level):
        return "var(--soft)"
    return _PALETTE[round(level * (len(_PALETTE) - 1))]


def _told(row: dict[str, Any], known: Sequence[str]) -> str:
    """Its name, what it is, and its attributes."""
    values = [
        f"{name} {number(_ATTRIBUTES[name].shown(row[name]))} {_ATTRIBUTES[name].unit}"
        for name in known
        if math.isfinite(row[name])
    ]
    return "; ".join([f"{row['name']} ({_KINDS.get(row['kind'], row['kind'])})", *values])


def _sounds(folder: Path, table: Sequence[dict[str, Any]]) -> list[str]:
    """What each row plays; empty of those that are left out, evenly, to stay below `MOST_BYTES`.

    New sounds come first: there are few of them.
    """
    made = [_sound(folder / row["sound"]) for row in table]
    new = [row["kind"] == "new" for row in table]
    every = 1
    while sum(len(x) for x in _thinned(made, new, every)) > MOST_BYTES and every < len(made):
        every += 1
    return _thinned(made, new, every)


def _thinned(made: Sequence[str], always: Sequence[bool], every: int) -> list[str]:
    """Every n-th sound, and those that always are there."""
    return [
        sound if kept or index % every == 0 else ""
        for index, (sound, kept) in enumerate(zip(made, always, strict=True))
    ]


def _sound(path: Path) -> str:
    return flac_uri(*excerpt(path, _HEARD_S)) if path.is_file() else ""
