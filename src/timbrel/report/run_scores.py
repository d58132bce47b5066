"""A run's scores for the page: one table with intervals, and a summary in words."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from timbrel.metrics.scores import SCORES
from timbrel.report.figures import score_scale
from timbrel.report.page import MINUS, drawing, number
from timbrel.report.run_warnings import reported_part
from timbrel.runs.folder import Run
from timbrel.words import NOT_KNOWN

RATE = "nats_per_second"
_RATE_MEANING = "Information that the code holds, as KL in nats per second."
_PARTS = {"train": "training files", "validation": "validation files", "test": "test files"}
_CONTROLS = {"silence": "silence", "noise": "matched noise"}


@dataclass(frozen=True)
class Row:
    """One line of the table: who was scored on what, and a cell per column."""

    name: str
    files: str
    cells: tuple[tuple[str, str], ...]
    """The mean, and its interval in words."""
    strong: bool


@dataclass(frozen=True)
class Scores:
    """The table of scores; `columns` are pairs of a heading and what it means."""

    columns: tuple[tuple[str, str], ...]
    rows: tuple[Row, ...]


def scores(run: Run) -> Scores | None:
    """Model on every part, then the controls; None before there is an evaluation."""
    if run.evaluation is None or not run.evaluation.summary:
        return None
    known = {row["metric"] for row in run.evaluation.summary}
    metrics = [name for name in SCORES if name in known]
    metrics += [RATE] if RATE in known else []
    part = reported_part(run)
    lines = [(p, "model", _PARTS[p]) for p in _PARTS]
    lines += [(part, system, words) for system, words in _CONTROLS.items()] if part else []
    rows = []
    for of_part, system, words in lines:
        found = {name: summary_of(run, of_part, system, name) for name in metrics}
        present = [row for row in found.values() if row]
        if present:
            name = words if system == "model" else f"control: {words}"
            cells = tuple(_cell(row) for row in found.values())
            strong = system == "model" and of_part == part
            rows.append(Row(name, f"{present[0]['files']:.0f}", cells, strong))
    return Scores(tuple(map(_column, metrics)), tuple(rows))


def summary_of(run: Run, part: str | None, system: str, metric: str) -> dict[str, Any] | None:
    """The row of summary.csv, or None."""
    wanted = (part, system, metric)
    rows: Iterable[dict[str, Any]] = run.evaluation.summary if run.evaluation else ()
    return next((r for r in rows if (r["part"], r["system"], r["metric"]) == wanted), None)


def verdict(run: Run) -> str:
    """How good the model is, in one or two sentences; empty where nothing was scored."""
    part = reported_part(run)
    model = summary_of(run, part, "model", "mrstft")
    if model is None or not math.isfinite(model["mean"]):
        return ""
    files = int(model["files"])
    seen = "never heard" if part == "test" else "did not learn from"
    said = (
        f"On {files} {part} recording{'s' if files != 1 else ''} that it {seen}, its "
        f"reconstructions score an MR-STFT of {with_interval(model)} (0 is identical; lower is "
        "better)."
    )
    noise = summary_of(run, part, "noise", "mrstft")
    silence = summary_of(run, part, "silence", "mrstft")
    if silence:
        said += f" Silence scores {number(silence['mean'])}"
        said += f", noise of the same spectrum {number(noise['mean'])}." if noise else "."
    return said + (" " + _against_noise(model, noise) if noise else "")


def _against_noise(model: dict[str, Any], noise: dict[str, Any]) -> str:
    share = 1 - model["mean"] / noise["mean"] if noise["mean"] > 0 else math.nan
    if not math.isfinite(share):
        return ""
    if share <= 0:
        return "That is no better than noise: the model has not learned to reconstruct."
    if model["high"] >= noise["low"]:
        return "That is not clearly better than noise: the intervals overlap."
    return f"That is {100 * share:.0f} % of the way from noise to a perfect copy."


def with_interval(row: dict[str, Any]) -> str:
    """A mean and its 95 % interval, where there is one."""
    mean, interval = _cell(row)
    return f"{mean} (95 % interval {interval})" if interval else mean


def scale(run: Run) -> Markup | None:
    """A picture of where the model's MR-STFT lies between perfect and the controls."""
    part = reported_part(run)
    rows = {
        system: summary_of(run, part, system, "mrstft") for system in ("model", "silence", "noise")
    }
    model = rows.pop("model")
    if model is None or not math.isfinite(model["mean"]):
        return None
    controls = {name: row["mean"] for name, row in rows.items() if row}
    figure = score_scale(
        model["mean"], (model["low"], model["high"]), controls, x_label="MR-STFT, lower is better"
    )
    others = ", ".join(f"{name} {number(value)}" for name, value in controls.items())
    return drawing(figure, f"MR-STFT of the model {with_interval(model)}; perfect 0, {others}")


def _column(metric: str) -> tuple[str, str]:
    """Its heading and what it means."""
    if metric == RATE:
        return "rate, nats/s", _RATE_MEANING
    return SCORES[metric].heading, SCORES[metric].meaning


def _cell(row: dict[str, Any] | None) -> tuple[str, str]:
    if row is None or math.isnan(row["mean"]):
        return NOT_KNOWN, ""
    low, high = row["low"], row["high"]
    if math.isnan(low) or math.isnan(high) or row["files"] < 2:
        return number(row["mean"]), ""
    # Beside a minus, a dash would be read as one.
    joint = " to " if MINUS in number(low) + number(high) else "\N{EN DASH}"
    return number(row["mean"]), f"{number(low)}{joint}{number(high)}"
