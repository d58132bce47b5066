"""The figure of a study: every cell's score and interval, a panel per metric."""

import io
import math
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from timbrel.files import write_bytes
from timbrel.report.figures import PALETTE
from timbrel.report.page import INK
from timbrel.sweeps.results import StudyResult, score_of

_PANEL_IN, _ROW_IN, _MARGIN_IN = 2.6, 0.34, 0.9
_COLUMNS = 2


def study_figure(result: StudyResult) -> Figure:
    """Interquartile means with their 95 % intervals, the grid's first cell on top."""
    metrics, cells = result.study.metrics, result.cells
    columns = min(_COLUMNS, len(metrics))
    rows = math.ceil(len(metrics) / columns)
    labels = [cell.cell.label.replace("$", r"\$") for cell in cells]
    side_in = 0.075 * max(map(len, labels))
    height = rows * (_MARGIN_IN + _ROW_IN * len(cells))
    figure = Figure(figsize=(side_in + _PANEL_IN * columns, height), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    for panel, metric in zip(panels, metrics, strict=False):
        for row, cell in enumerate(cells):
            found = cell.findings[metric].score
            if found is None:
                continue
            colour = PALETTE[row % len(PALETTE)]
            if math.isfinite(found.low):
                panel.plot([found.low, found.high], [row, row], color=colour, linewidth=2)
            panel.plot([found.value], [row], marker="o", color=colour, markersize=6)
        panel.set_xlabel(score_of(metric).heading, color=INK, fontsize=9)
        panel.set_yticks(range(len(cells)), labels)
        panel.set_ylim(len(cells) - 0.5, -0.5)
        panel.tick_params(colors=INK, labelsize=8)
        panel.grid(color=INK, alpha=0.12, linewidth=0.8)
        for name, spine in panel.spines.items():
            spine.set_visible(name in ("left", "bottom"))
            spine.set_alpha(0.4)
    for panel in panels[len(metrics) :]:
        panel.set_visible(False)
    return figure


def save_figure(figure: Figure, folder: Path) -> None:
    """`figure.svg` and `figure.png` on white, the same bytes for the same numbers."""
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "timbrel"}):
        _save(figure, folder / "figure.svg", metadata={"Date": None})
    _save(figure, folder / "figure.png", dpi=160, metadata={"Software": None})


def _save(figure: Figure, path: Path, **options: Any) -> None:
    content = io.BytesIO()
    figure.savefig(content, format=path.suffix[1:], facecolor="white", **options)
    write_bytes(path, content.getbuffer())
