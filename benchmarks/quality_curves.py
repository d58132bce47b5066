"""Held-out loss against minutes of training: the picture of a grid that `quality.py` trained.

    python benchmarks/quality_curves.py CELLS

Writes `quality_curves.png` beside this file and prints each training's loss after two minutes and
at its end. A training that was planned for two minutes would have ended its learning rate there,
and stand lower at that point.
"""

import json
import sys
from pathlib import Path

from matplotlib.figure import Figure

from timbrel.runs.folder import Run, read_run

HERE = Path(__file__).parent


def curve(run: Run) -> list[tuple[float, float]]:
    """`(minutes, held-out loss)`; a validation's time is that of the nearest logged step."""
    clock = dict(run.curves["train/elapsed_s"])
    return [
        (clock[min(clock, key=lambda logged, at=step: abs(logged - at))] / 60, loss)
        for step, loss in run.curves["validation/loss"]
    ]


def main(cells: Path) -> None:
    """Draw one panel per theme, one line per architecture."""
    panels: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for file in sorted(cells.glob("*/cell.json")):
        record = json.loads(file.read_text())
        run = read_run(file.parent / "outputs" / record["run"])
        panels.setdefault(record["cell"]["theme"], {})[record["cell"]["architecture"]] = curve(run)
    figure = Figure(figsize=(4.5 * len(panels), 3.6), layout="constrained")
    for axis, (theme, lines) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        for name, points in lines.items():
            axis.plot(*zip(*points, strict=True), "o-", ms=3, label=name)
            early = min(points, key=lambda point: abs(point[0] - 2.0))[1]
            print(f"{theme} {name}: {early:.2f} after two minutes, {points[-1][1]:.2f} at the end")
        axis.set(title=theme, xlabel="minutes of training", ylabel="held-out loss")
        axis.axvline(2.0, color="0.6", lw=0.8, ls="--")
        axis.legend(fontsize=8, frameon=False)
    figure.savefig(HERE / "quality_curves.png", dpi=90)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
