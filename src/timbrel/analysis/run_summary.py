"""What a run's files say about it: its choices, size, clock and scores."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from timbrel.analysis.run_folder import Run
from timbrel.options import options

ELAPSED = "train/elapsed_s"
"""The curve that holds the training's own clock, in s."""


@dataclass(frozen=True)
class Score:
    """A mean over files; its 95 % interval is nan where the run has not been evaluated."""

    mean: float
    low: float = math.nan
    high: float = math.nan

    @property
    def has_interval(self) -> bool:
        """Whether the interval is known."""
        return math.isfinite(self.low) and math.isfinite(self.high)


def scores_of(run: Run, part: str = "test") -> dict[str, Score]:
    """Scores of the model by metric: those of its evaluation, else the card's bare means."""
    if run.evaluation:
        rows = [r for r in run.evaluation.summary if r["part"] == part and r["system"] == "model"]
        if rows:
            return {row["metric"]: Score(row["mean"], row["low"], row["high"]) for row in rows}
    prefix = f"{part}_"
    metrics: Mapping[str, Any] = run.card.get("metrics") or {}
    return {
        name.removeprefix(prefix): Score(float(value))
        for name, value in metrics.items()
        if name.startswith(prefix) and isinstance(value, int | float)
    }


def choice(run: Run, group: str) -> str | None:
    """The option of `group` (architecture, latent ...) that made the run; None where unknown.

    From run.json where it says so, the overrides, the run's name where it is the default one
    (data, architecture, latent), else the class that the config names.
    """
    recorded = run.provenance.get("choices")
    if isinstance(recorded, dict) and recorded.get(group):
        return str(recorded[group])
    for text in reversed(run.overrides):
        key, _, value = text.partition("=")
        if key.strip() == group:
            return value.strip("'\" ")
    name = str(run.config.get("name") or run.card.get("name") or "")
    known = _options_here(Path.cwd())
    for latent in known.get("latent", []):
        for architecture in known.get("architecture", []):
            if name.endswith(f"_{architecture}_{latent}"):
                return {"architecture": architecture, "latent": latent}.get(group)
    part = {"architecture": "encoder", "latent": "penalty"}.get(group, "")
    node = run.config.get(group)
    target = (node.get(part) or {}).get("_target_") if isinstance(node, dict) else None
    return str(target).rpartition(".")[2] if target else None


def parameter_count(run: Run, model: Path) -> int | None:
    """How many numbers the weights hold: the card's count, else that of the file's header."""
    stated = run.card.get("parameters")
    if isinstance(stated, int):
        return stated
    try:
        with (model / "weights.safetensors").open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(length, 1 << 24)))
        shapes = [value["shape"] for name, value in header.items() if name != "__metadata__"]
        return sum(math.prod(shape) for shape in shapes)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


@cache
def _options_here(_working_folder: Path) -> dict[str, list[str]]:
    # Asked for every run; the working folder's own ./conf takes part in the answer.
    return options()


def steps_done(run: Run) -> int | None:
    """The last step that the curves know."""
    return max((points[-1][0] for points in run.curves.values() if points), default=None)


def elapsed_s(run: Run) -> float | None:
    """The training's own clock at the last step that logged it, in s."""
    clock = run.curves.get(ELAPSED)
    return clock[-1][1] if clock else None
