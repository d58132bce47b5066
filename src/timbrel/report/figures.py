"""Figures of the pages: curves, distributions, spectrograms, waveforms.

Colours are Okabe and Ito's (2008), which the colour-blind tell apart and which read on white and on
black; lines differ in their dashes too. Everything else is drawn in the colour of the page's text.
"""

import io
from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from timbrel.report.page import INK
from timbrel.report.pictures import draw_f0, draw_spectrogram

PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9")
DASHES = ("solid", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)), (0, (3, 1)), (0, (1, 1)))
_GREY = "#808a92"
_SMOOTHED_FROM = 60
_DECADES = 1.3
_CLOSE = 0.12

Points = Sequence[tuple[float, float]]


def curves_figure(
    curves: Mapping[str, Points],
    *,
    y_label: str,
    x_label: str = "step",
    log_y: bool = False,
    best: tuple[float, str] | None = None,
    smooth: Sequence[str] = (),
    size_in: tuple[float, float] = (5.4, 3.0),
) -> Figure:
    """Labelled curves over training steps.

    Those named in `smooth` are drawn pale with their running mean over them, if they are long
    enough to need it; the legend says over how many values. `best` marks a step, with a word. A
    logarithmic axis is used with `log_y` where every value is positive.
    """
    figure, axis = _figure(size_in)
    for index, (label, points) in enumerate(curves.items()):
        colour, dashes = PALETTE[index % len(PALETTE)], DASHES[index % len(DASHES)]
        steps, values = (np.array(column, float) for column in zip(*points, strict=True))
        window = len(values) // 20 | 1
        if label in smooth and len(values) >= _SMOOTHED_FROM:
            axis.plot(steps, values, color=colour, alpha=0.3, linewidth=0.8)
            label = f"{label} (mean of {window})"
            values = running_mean(values, window)
        marker = "o" if len(values) < 25 else None
        axis.plot(
            steps,
            values,
            color=colour,
            linestyle=dashes,
            label=label,
            marker=marker,
            markersize=3.5,
        )
    if best is not None:
        step, words = best
        axis.axvline(step, color=INK, alpha=0.55, linewidth=1, linestyle=(0, (2, 2)))
        axis.annotate(
            _literal(words), (step, 1), xycoords=("data", "axes fraction"), xytext=(-4, -4),
            textcoords="offset points", ha="right", va="top", fontsize=8, color=INK,
        )  # fmt: skip
    everything = [value for points in curves.values() for _, value in points]
    if log_y and everything and min(everything) > 0:
        axis.set_yscale("log")
        y_label += ", log"
    axis.set_xlabel(x_label)
    axis.set_ylabel(_literal(y_label))
    axis.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    if curves:
        _legend(axis)
    return figure


def running_mean(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """The mean of `window` (odd) neighbours, of fewer towards the ends.

    >>> running_mean(np.array([0.0, 3.0, 6.0, 0.0]), 3).tolist()
    [1.5, 3.0, 3.0, 3.0]
    """
    kernel = np.ones(window)
    counts = np.convolve(np.ones(len(values)), kernel, "full")
    summed = np.convolve(values, kernel, "full")
    first = window // 2
    return (summed / counts)[first : first + len(values)]


def histogram(
    values: Sequence[float],
    *,
    x_label: str,
    log_x: bool = False,
    bins: int = 24,
    size_in: tuple[float, float] = (4.2, 2.4),
) -> Figure:
    """How many files lie where; a logarithmic axis where `log_x` and the values span enough."""
    figure, axis = _figure(size_in)
    finite = np.array([value for value in values if np.isfinite(value)], float)
    log_x = log_x and len(finite) > 0 and finite.min() > 0
    log_x = log_x and finite.max() / finite.min() > _DECADES
    if len(finite):
        count = min(bins, max(6, len(finite)))
        if log_x:
            edges = np.geomspace(finite.min(), finite.max() * 1.0001, count + 1)
            axis.set_xscale("log")
            axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.xaxis.set_minor_formatter(NullFormatter())
        else:
            edges = np.histogram_bin_edges(finite, count)
        axis.hist(finite, bins=edges, color=PALETTE[0], edgecolor=INK, linewidth=0.4)
    axis.set_xlabel(_literal(x_label) + (" (log)" if log_x else ""))
    axis.set_ylabel("files")
    axis.yaxis.set_major_locator(MaxNLocator(4, integer=True, min_n_ticks=1))
    return figure


def bars(counts: Mapping[str, int], *, x_label: str, size_in: tuple[float, float]) -> Figure:
    """Horizontal bars with their counts written beside them, the first on top."""
    figure, axis = _figure(size_in)
    names, values = [_literal(name) for name in counts], list(counts.values())
    drawn = axis.barh(names, values, color=PALETTE[0], height=0.65)
    axis.bar_label(drawn, padding=3, fontsize=9, color=INK)
    axis.invert_yaxis()
    axis.set_xlabel(_literal(x_label))
    axis.margins(x=0.12)
    axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    return figure


def score_scale(
    mean: float,
    interval: tuple[float, float],
    controls: Mapping[str, float],
    *,
    x_label: str,
    best: float = 0.0,
    size_in: tuple[float, float] = (5.6, 1.35),
) -> Figure:
    """Where a model's score lies between perfect (`best`) and its controls, on one line."""
    figure, axis = _figure(size_in)
    axis.axhline(0, color=INK, alpha=0.35, linewidth=1)
    low, high = interval
    if np.isfinite(low) and np.isfinite(high):
        axis.plot(
            [low, high], [0, 0], color=PALETTE[0], linewidth=6, alpha=0.4, solid_capstyle="butt"
        )
    marks = [("perfect", best, "|", INK), *((n, v, "D", _GREY) for n, v in controls.items())]
    span = max(value for _, value, *_ in marks) - min(value for _, value, *_ in marks)
    before, offset = -np.inf, -11
    for name, value, marker, colour in sorted(marks, key=lambda mark: mark[1]):
        axis.plot([value], [0], marker=marker, color=colour, markersize=9, markeredgewidth=2)
        # One below the other where two lie close.
        offset = -22 if value - before < _CLOSE * span and offset == -11 else -11
        _note(axis, name, value, offset, INK)
        before = value
    axis.plot([mean], [0], marker="o", color=PALETTE[0], markersize=10)
    _note(axis, "this model", mean, 10, PALETTE[0], weight="bold")
    axis.set_ylim(-1, 1)
    axis.margins(x=0.06)
    axis.set_yticks([])
    axis.grid(False)
    for side in ("left", "top", "right"):
        axis.spines[side].set_visible(False)
    axis.set_xlabel(_literal(x_label))
    return figure


def heat_map(
    values: NDArray[np.float64],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    most: float,
    label: str,
) -> Figure:
    """A table `(row, column)` of values from 0 up as colours, each value in its cell.

    The colour ends at `most`; nan leaves a cell empty. The first row is on top.
    """
    n_rows, n_columns = values.shape
    figure, axis = _figure((2.6 + 0.68 * n_columns, 0.7 + 0.25 * n_rows))
    cells = axis.pcolormesh(np.ma.masked_invalid(values), cmap="cividis", vmin=0.0, vmax=most)
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            axis.text(
                column + 0.5, row + 0.5, f"{value:.2f}", ha="center", va="center", fontsize=8,
                color="#000000" if value > most / 2 else "#ffffff",
            )  # fmt: skip
    axis.set_xticks(np.arange(n_columns) + 0.5, map(_literal, columns))
    axis.set_yticks(np.arange(n_rows) + 0.5, map(_literal, rows))
    axis.invert_yaxis()
    axis.xaxis.tick_top()
    axis.tick_params(length=0)
    axis.grid(False)
    for spine in axis.spines.values():
        spine.set_visible(False)
    scale = figure.colorbar(cells, ax=axis, extend="max" if np.nanmax(values) > most else "neither")
    scale.set_label(_literal(label), color=INK, fontsize=9)
    scale.ax.tick_params(colors=INK, labelsize=8)
    scale.outline.set_visible(False)
    return figure


def spectrogram_png(
    audio: NDArray[np.float32],
    rate_hz: int,
    *,
    f0: tuple[NDArray[np.floating], NDArray[np.floating]] | None = None,
    size_in: tuple[float, float] = (5.0, 2.3),
    dpi: int = 130,
) -> bytes:
    """The spectrogram of `audio`, `(channel, time)`, mixed to mono: 0 to -90 dB, as PNG.

    `f0` is drawn over it: times in s and frequencies in Hz, nan where there is none.
    Transparent, with letters in a grey that reads on white and on black.
    """
    # Fixed margins: a layout engine would take longer than the drawing.
    figure = Figure(figsize=size_in)
    FigureCanvasAgg(figure)
    width, height = size_in
    axis = figure.add_axes((0.5 / width, 0.42 / height, 1 - 0.65 / width, 1 - 0.5 / height))
    draw_spectrogram(axis, audio.mean(0), rate_hz)
    if f0 is not None:
        draw_f0(axis, *f0)
    axis.tick_params(colors=_GREY, labelsize=8)
    for label in (axis.xaxis.label, axis.yaxis.label):
        label.set_color(_GREY)
    for spine in axis.spines.values():
        spine.set_visible(False)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=dpi, transparent=True)
    return file.getvalue()


def waveform_thumbnail(
    envelope: NDArray[np.floating], alt: str, *, width: int = 240, height: int = 44
) -> Markup:
    """A waveform as a tiny inline drawing. `envelope` is `(2, points)`: least and greatest.

    It is drawn to fill the height: the shape counts here, the level is told in figures.
    """
    largest = float(np.abs(envelope).max(initial=0.0))
    scaled = envelope / largest if largest > 0 else envelope
    x = np.linspace(0, width, envelope.shape[1])
    middle = height / 2
    # Silence is a line too: half a unit of thickness stays.
    upper = middle - np.maximum(scaled[1] * (middle - 1), 0.4)
    lower = middle - np.minimum(scaled[0] * (middle - 1), -0.4)
    points = [*zip(x, upper, strict=True), *zip(x[::-1], lower[::-1], strict=True)]
    path = "M" + "L".join(f"{a:.0f} {b:.1f}" for a, b in points) + "Z"
    return Markup(
        '<svg class="wave" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" '
        'aria-label="{}"><path d="{}"/></svg>'
    ).format(width, height, alt, path)


def _figure(size_in: tuple[float, float]) -> tuple[Figure, Axes]:
    figure = Figure(figsize=size_in, layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    axis.tick_params(colors=INK, which="both", labelsize=9)
    for label in (axis.xaxis.label, axis.yaxis.label):
        label.set(color=INK, fontsize=9)
    for side, spine in axis.spines.items():
        spine.set_color(INK)
        spine.set_alpha(0.4)
        spine.set_visible(side in ("left", "bottom"))
    axis.grid(color=INK, alpha=0.12, linewidth=0.8)
    axis.set_axisbelow(True)
    return figure, axis


def _legend(axis: Axes) -> None:
    legend = axis.legend(fontsize=8.5, frameon=False, loc="best", handlelength=2.6)
    for text in legend.get_texts():
        text.set_color(INK)
        text.set_text(_literal(text.get_text()))


def _note(axis: Axes, words: str, value: float, offset: int, colour: str, **style: str) -> None:
    axis.annotate(
        words, (value, 0), xytext=(0, offset), textcoords="offset points", ha="center",
        va="bottom" if offset > 0 else "top", fontsize=9, color=colour, **style,
    )  # fmt: skip


def _literal(words: str) -> str:
    """`words` without matplotlib's own markup: a dollar is a dollar."""
    return words.replace("$", r"\$")
