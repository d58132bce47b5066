"""An analysis in the W&B run of its training, as the files in `<run>/analysis/` have it.

Under these keys, beside those of `training.wandb_log`:

    sliders                  a table: axis, verdict, scores, and three positions to hear
    sliders/<axis>/sdot      summary; also sdot_low, sdot_high, purity, monotonicity, range,
                             smoothness, leak and verdict
    disentanglement          a table: each score with its interval, chance and ceiling
    sliders/ok               summary: how many are ok, besides level
    disentanglement/<score>  summary

The sounds of a table lie in `<run>/wandb/data` until the run is synchronised.
"""

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import wandb

from timbrel.metrics.analysis_scores import SLIDER_PARTS
from timbrel.runs.analysis import code_scores, slider_scores
from timbrel.runs.folder import ANALYSIS_FOLDER, read_table

HEARD = {"low": 0, "middle": 2, "high": 4}
"""The positions of a traversal that can be heard, by the names of their columns."""

_DATA_FOLDER = "WANDB_DATA_DIR"
_SDOT, *_PARTS = SLIDER_PARTS
_OF_SLIDER = (_SDOT, "low", "high", *_PARTS, "null", "lowest", "highest")
_OF_SCORE = ("value", "low", "high", "null_mean", "null_p95", "ceiling")
_INTERVAL = {"low": "sdot_low", "high": "sdot_high"}


def log_analysis(run: wandb.Run, folder: Path) -> None:
    """Log the tables of the analysis in the run folder `folder`, and their numbers as a summary."""
    analysis = folder / ANALYSIS_FOLDER
    sliders = read_table(analysis / "sliders.csv", _OF_SLIDER)
    scores = read_table(analysis / "disentanglement.csv", _OF_SCORE)
    tables = {
        "sliders": _sliders(sliders, analysis / "traversals"),
        "disentanglement": _table(
            ("metric", *_OF_SCORE),
            [[row["metric"], *(_known(row[name]) for name in _OF_SCORE)] for row in scores],
        ),
    }
    with kept_in(folder / "wandb" / "data"):
        run.log(tables)
    run.summary.update({**_intervals(sliders), **slider_scores(sliders), **code_scores(scores)})


@contextmanager
def kept_in(folder: Path) -> Iterator[None]:
    """W&B keeps copies of what a table holds for every run of a person in one place."""
    before = os.environ.get(_DATA_FOLDER)
    os.environ[_DATA_FOLDER] = str(folder.resolve())
    try:
        yield
    finally:
        if before is None:
            del os.environ[_DATA_FOLDER]
        else:
            os.environ[_DATA_FOLDER] = before


def _sliders(rows: Sequence[dict[str, Any]], traversals: Path) -> wandb.Table:
    columns = ["axis", "verdict", "why", "operator", "unit", "leaks_to"]
    numbers = [_INTERVAL.get(name, name) for name in _OF_SLIDER]
    return _table(
        (*columns, *numbers, *HEARD),
        [
            [
                *(row[name] for name in columns),
                *(_known(row[name]) for name in _OF_SLIDER),
                *(_audio(traversals / f"{row['axis']}_{place}.wav") for place in HEARD.values()),
            ]
            for row in rows
        ],
    )


def _table(columns: Sequence[str], rows: list[list[Any]]) -> wandb.Table:
    return wandb.Table(columns=list(columns), data=rows, allow_mixed_types=True)


def _audio(path: Path) -> wandb.Audio | None:
    return wandb.Audio(str(path), caption=path.stem) if path.is_file() else None


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _intervals(rows: Sequence[dict[str, Any]]) -> dict[str, float | str]:
    """What the summary has of each slider beside its scores."""
    found: dict[str, float | str] = {}
    for row in rows:
        place = f"sliders/{row['axis']}"
        found[f"{place}/verdict"] = row["verdict"]
        found |= {f"{place}/{_INTERVAL[n]}": row[n] for n in _INTERVAL if math.isfinite(row[n])}
    return found
