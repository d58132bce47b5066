"""Spectrogram pictures: the eye's check on what the ear and the scores say."""

from pathlib import Path

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from timbrel.dsp.stft import hann

_WINDOW, _HOP = 2048, 256
_FLOOR_DB = -90.0


def spectrogram_db(signal: NDArray[np.float32]) -> NDArray[np.float32]:
    """Level of every bin in dB below a full-scale sine, floored at -90: `(bin, frame)`."""
    window = hann(_WINDOW)
    spectrum = torch.stft(
        torch.from_numpy(signal), _WINDOW, _HOP, window=window, return_complex=True,
        pad_mode="constant",
    )  # fmt: skip
    level_db = 20 * torch.log10((spectrum.abs() / (window.sum() / 2)).clamp_min(1e-9))
    return level_db.clamp_min(_FLOOR_DB).numpy()


def save_spectrogram_pair(
    path: Path,
    original: NDArray[np.float32],
    reconstruction: NDArray[np.float32],
    *,
    rate_hz: int,
    title: str,
) -> None:
    """Original above reconstruction, one colour scale, as PNG. Signals are `(channel, time)`."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 1, sharex=True, sharey=True)
    duration_s = original.shape[-1] / rate_hz
    for axis, name, audio in zip(
        axes, ("original", "reconstruction"), (original, reconstruction), strict=True
    ):
        picture = axis.imshow(
            spectrogram_db(audio.mean(0)),
            origin="lower",
            aspect="auto",
            extent=(0.0, duration_s, 0.0, rate_hz / 2000),
            vmin=_FLOOR_DB,
            vmax=0.0,
            cmap="magma",
        )
        axis.set_yscale("symlog", linthresh=1.0)
        axis.set_yticks([0, 0.5, 1, 2, 5, 10, 20], ["0", "0.5", "1", "2", "5", "10", "20"])
        axis.set_ylabel("kHz")
        axis.set_title(name, fontsize=9, loc="left")
    axes[-1].set_xlabel("s")
    figure.colorbar(picture, ax=axes, label="dB below a full-scale sine")
    figure.suptitle(title, fontsize=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)
