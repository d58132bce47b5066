"""What a run's files say about it: its choices, size, clock and scores."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from timbrel.runs.folder import Run

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
    """The option of `group` (architecture, latent ...) that made the run, as run.json has it."""
    recorded = run.provenance.get("choices")
    value = recorded.get(group) if isinstance(recorded, dict) else None
    return None if value is None else str(value)


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


def steps_done(run: Run) -> int | None:
    """The last step that the curves know."""
    return max((points[-1][0] for points in run.curves.values() if points), default=None)


def elapsed_s(run: Run) -> float | None:
    """The training's own clock at the last step that logged it, in s."""
    clock = run.curves.get(ELAPSED)
    return clock[-1][1] if clock else None
