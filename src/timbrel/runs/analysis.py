"""What an analysis found of a run's model, as numbers by the names of `ANALYSIS_SCORES`."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from timbrel.metrics.analysis_scores import SLIDER_AXES, SLIDER_PARTS
from timbrel.runs.folder import ANALYSIS_FOLDER, read_table


def analysis_scores(run: Path) -> dict[str, float]:
    """Those of the tables in `<run>/analysis/`; {} of a run that was not analysed.

    A slider of what the model does not hold is refused, whatever it scored: it has no scores here.
    Raises UserError where a table cannot be read.
    """
    folder = run / ANALYSIS_FOLDER
    sliders = read_table(folder / "sliders.csv", tuple(SLIDER_PARTS))
    code = read_table(folder / "disentanglement.csv", ("value",))
    refused = {f"sliders/{row['axis']}" for row in sliders if row["verdict"] == "not held"}
    found = {**slider_scores(sliders), **code_scores(code)}
    return {name: value for name, value in found.items() if name.rpartition("/")[0] not in refused}


def slider_scores(rows: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Of the rows of `sliders.csv`, as far as they have numbers; {} without rows."""
    judged = [row for row in rows if row["axis"] in SLIDER_AXES]
    if not judged:
        return {}
    ok = sum(row["verdict"] == "ok" for row in judged)
    parts = {f"sliders/{row['axis']}/{part}": row[part] for row in judged for part in SLIDER_PARTS}
    return {"sliders/ok": float(ok), **_known(parts)}


def code_scores(rows: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Of the rows of `disentanglement.csv`; without those that too few recordings leave unknown."""
    return _known({f"disentanglement/{row['metric']}": row["value"] for row in rows})


def _known(values: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in values.items() if math.isfinite(value)}
