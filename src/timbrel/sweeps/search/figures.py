"""The figures of a search's page: history, front, importances."""

from collections.abc import Mapping, Sequence

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from timbrel.report.figures import PALETTE
from timbrel.report.page import INK
from timbrel.sweeps.search.goals import Objective
from timbrel.sweeps.search.results import Tried


def history_figure(trials: Sequence[Tried], objectives: Sequence[Objective]) -> Figure:
    """Every trial's value by number, and the best so far; a panel per objective.

    Trials that break a constraint are hollow, and no best.
    """
    figure, panels = _figure(len(objectives), 2.6)
    for index, (panel, objective) in enumerate(zip(panels, objectives, strict=True)):
        complete = [trial for trial in trials if trial.state == "complete"]
        for hollow in (False, True):
            chosen = [trial for trial in complete if bool(trial.broken) == hollow]
            panel.plot(
                [trial.number for trial in chosen],
                [trial.values[index] for trial in chosen],
                "o",
                color=PALETTE[0],
                markerfacecolor="none" if hollow else PALETTE[0],
                markersize=5,
            )
        best: list[tuple[int, float]] = []
        for trial in complete:
            value = trial.values[index]
            if trial.feasible and (not best or objective.better(value, best[-1][1])):
                best.append((trial.number, value))
        if best:
            best.append((complete[-1].number, best[-1][1]))
            panel.step(*zip(*best, strict=True), where="post", color=PALETTE[4], linewidth=1.5)
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        panel.set_xlabel("trial", color=INK, fontsize=9)
        panel.set_ylabel(objective.name, color=INK, fontsize=9)
    return figure


def front_figure(
    trials: Sequence[Tried], front: Sequence[Tried], objectives: Sequence[Objective]
) -> Figure:
    """Two objectives against each other: all trials, and the front with their numbers."""
    figure, (panel,) = _figure(1, 3.6)
    complete = [trial for trial in trials if trial.state == "complete"]
    panel.plot(
        [trial.values[0] for trial in complete],
        [trial.values[1] for trial in complete],
        "o",
        color=PALETTE[0],
        markerfacecolor="none",
        markersize=5,
    )
    panel.plot(
        [trial.values[0] for trial in front],
        [trial.values[1] for trial in front],
        "o-",
        color=PALETTE[4],
        markersize=6,
        linewidth=1.0,
    )
    for trial in front:
        panel.annotate(
            str(trial.number),
            (trial.values[0], trial.values[1]),
            textcoords="offset points",
            xytext=(6, 4),
            color=INK,
            fontsize=8,
        )
    panel.set_xlabel(objectives[0].name, color=INK, fontsize=9)
    panel.set_ylabel(objectives[1].name, color=INK, fontsize=9)
    return figure


def importance_figure(shares: Mapping[str, float]) -> Figure:
    """A bar per parameter, the most important on top."""
    figure, (panel,) = _figure(1, 0.8 + 0.32 * len(shares))
    names = [name.replace("$", r"\$") for name in shares]
    panel.barh(range(len(names)), list(shares.values()), color=PALETTE[0])
    panel.set_yticks(range(len(names)), names)
    panel.set_ylim(len(names) - 0.5, -0.5)
    panel.set_xlim(0.0, 1.0)
    panel.set_xlabel("share of the variation", color=INK, fontsize=9)
    return figure


def _figure(panels: int, height_in: float) -> tuple[Figure, list]:
    figure = Figure(figsize=(5.6, height_in * panels), layout="constrained")
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(panels, 1, squeeze=False).ravel())
    for panel in axes:
        panel.tick_params(colors=INK, labelsize=8)
        panel.grid(color=INK, alpha=0.12, linewidth=0.8)
        panel.set_axisbelow(True)
        for name, spine in panel.spines.items():
            spine.set_visible(name in ("left", "bottom"))
            spine.set_alpha(0.4)
    return figure, axes
