"""Spectrogram pictures, to compare sounds by eye."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from timbrel.files import write_bytes

Levels = NDArray[np.float32]

_WINDOW, _HOP = 2048, 256
_FLOOR_DB = -90.0
_BLOCK_FRAMES = 1024
# About as many as the picture has pixels: where there are more, drawing it drops some.
_ROWS, _MOST_COLUMNS = 160, 500
# The axis is even up to about this frequency and logarithmic above it.
_BEND_KHZ = 0.5
_TICKS_KHZ = (0, 0.2, 0.5, 1, 2, 5, 10, 20)


def spectrogram_db(signal: NDArray[np.float32]) -> Levels:
    """Level of every bin in dB below a full-scale sine, floored at -90: `(bin, frame)`.

    Periodic Hann window of 2,048 samples, every 256, centred; zeros beyond the ends.
    """
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_WINDOW) / _WINDOW).astype(np.float32)
    padded = np.pad(signal.astype(np.float32, copy=False), _WINDOW // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP]
    level = np.empty((_WINDOW // 2 + 1, len(frames)), np.float32)
    # In blocks: the windowed frames of a long recording would fill the memory.
    for start in range(0, len(frames), _BLOCK_FRAMES):
        block = frames[start : start + _BLOCK_FRAMES] * window
        magnitude = np.abs(np.fft.rfft(block)) / (window.sum() / 2)
        level[:, start : start + len(block)] = 20 * np.log10(np.maximum(magnitude, 1e-9)).T
    return np.maximum(level, _FLOOR_DB)


def draw_spectrogram(axis: Axes, signal: NDArray[np.float32], rate_hz: int) -> AxesImage:
    """Draw the spectrogram of `signal` into `axis`: seconds across, kilohertz up, -90 to 0 dB."""
    nyquist_khz = rate_hz / 2000
    picture = axis.imshow(
        _bent(spectrogram_db(signal), nyquist_khz),
        origin="lower",
        aspect="auto",
        extent=(0.0, max(len(signal), 1) / rate_hz, 0.0, _bend(nyquist_khz)),
        vmin=_FLOOR_DB,
        vmax=0.0,
        cmap="magma",
    )
    ticks = [tick for tick in _TICKS_KHZ if tick <= nyquist_khz]
    axis.set_yticks([_bend(tick) for tick in ticks], [f"{tick:g}" for tick in ticks])
    axis.set_ylabel("kHz")
    axis.set_xlabel("s")
    return picture


def draw_f0(axis: Axes, time_s: NDArray[np.floating], f0_hz: NDArray[np.floating]) -> None:
    """Draw f0 over a spectrogram that `draw_spectrogram` made; nan leaves a gap."""
    height = np.arcsinh(f0_hz / 1000 / _BEND_KHZ)
    # White under colour reads on the dark and on the bright parts of the picture.
    axis.plot(time_s, height, color="white", linewidth=2.6, alpha=0.8)
    axis.plot(time_s, height, color="#0072B2", linewidth=1.3)


def save_spectrogram_pair(
    path: Path,
    original: NDArray[np.float32],
    reconstruction: NDArray[np.float32],
    *,
    rate_hz: int,
    title: str,
) -> None:
    """Original above reconstruction, one colour scale, as PNG.

    Signals are `(channel, time)`; of stereo the mono mix is drawn.
    """
    figure = Figure(figsize=(8, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes: Sequence[Axes] = figure.subplots(2, 1, sharex=True, sharey=True)
    pairs = (("original", original), ("reconstruction", reconstruction))
    for axis, (name, audio) in zip(axes, pairs, strict=True):
        picture = draw_spectrogram(axis, audio.mean(0), rate_hz)
        axis.set_title(name, fontsize=9, loc="left")
    axes[0].set_xlabel("")
    axes[0].set_xlim(0.0, max(original.shape[-1], 1) / rate_hz)
    figure.colorbar(picture, ax=axes, label="dB below a full-scale sine")
    figure.suptitle(title.replace("$", r"\$"), fontsize=10)
    file = io.BytesIO()
    figure.savefig(file, dpi=90, format="png")
    write_bytes(path, file.getbuffer())


def _bend(khz: float) -> float:
    return float(np.arcsinh(khz / _BEND_KHZ))


def _bent(level: Levels, nyquist_khz: float) -> Levels:
    """`level` on rows that are even on the bent axis, and on no more columns than are seen.

    Where several bins or frames fall into one pixel the loudest stays: left to the drawing, a
    partial between two pixels would be shown 30 dB too quiet.
    """
    edges_khz = _BEND_KHZ * np.sinh(np.linspace(0.0, _bend(nyquist_khz), _ROWS + 1))
    centres = (edges_khz[1:] + edges_khz[:-1]) / 2
    bins_per_khz = (len(level) - 1) / nyquist_khz
    rows = np.empty((_ROWS, level.shape[1]), np.float32)
    for row in range(_ROWS):
        first, last = np.ceil(edges_khz[row : row + 2] * bins_per_khz).astype(int)
        if last <= first:  # no bin's centre lies in this row: the nearest one's level
            first = round(centres[row] * bins_per_khz)
            last = first + 1
        rows[row] = level[first:last].max(0)
    columns = rows.shape[1]
    if columns <= _MOST_COLUMNS:
        return rows
    starts = np.arange(_MOST_COLUMNS) * columns // _MOST_COLUMNS
    return np.maximum.reduceat(rows, starts, axis=1)
