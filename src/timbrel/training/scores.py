"""Scores at the end of training: test files through the finished model, whole, one by one."""

import csv
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from timbrel.audio.export import clear_peak_time
from timbrel.data.split import Segment
from timbrel.generation.engine import decode_stream
from timbrel.generation.file_source import encode_stream
from timbrel.metrics import reconstruction
from timbrel.models.autoencoder import Autoencoder

_BLOCK_SAMPLES = 1 << 20


@dataclass(frozen=True)
class FileScore:
    """One test file: `scores` are those of `metrics.reconstruction.evaluate`."""

    file: str
    seconds: float
    scores: dict[str, float]


def score_segments(
    model: Autoencoder, segments: Sequence[Segment], folder: Path
) -> list[FileScore]:
    """Reconstruct (posterior mean) and score every segment, as mono at the model's rate.

    Writes `reference/` and `reconstruction/` as float WAV under `folder`, and `scores.csv`.
    """
    rows = []
    for number, segment in enumerate(segments):
        rate_hz = model.sample_rate_hz
        original = np.array(segment.clip.open()[:, segment.start_sample : segment.stop_sample])
        decoded = reconstruct(model, original)
        name = f"{number:03d}_{Path(segment.clip.name).stem[:80]}.wav".replace("\n", " ")
        for kind, audio in (("reference", original), ("reconstruction", decoded)):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            path = folder / kind / name
            soundfile.write(path, audio.T, rate_hz, subtype="FLOAT")
            clear_peak_time(path)  # the same audio is the same file
        scores = reconstruction.evaluate(original.mean(0), decoded.mean(0))
        rows.append(FileScore(segment.clip.name, original.shape[1] / rate_hz, scores))
    _write_csv(rows, folder / "scores.csv")
    return rows


def reconstruct(model: Autoencoder, audio: NDArray[np.float32]) -> NDArray[np.float32]:
    """`(channel, time)` through encoder mean and decoder, block by block."""

    def blocks() -> Iterator[NDArray[np.float32]]:
        for start in range(0, audio.shape[1], _BLOCK_SAMPLES):
            yield audio[:, start : start + _BLOCK_SAMPLES]

    decoded = list(decode_stream(model, encode_stream(model, blocks())))
    return np.concatenate(decoded, axis=1)[:, : audio.shape[1]]


def mean_scores(rows: Sequence[FileScore]) -> dict[str, float]:
    """Means over files; empty without files."""
    names = rows[0].scores if rows else {}
    return {name: statistics.fmean(row.scores[name] for row in rows) for name in names}


def _write_csv(rows: Sequence[FileScore], path: Path) -> None:
    if not rows:
        return
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["file", "seconds", *rows[0].scores])
        for row in rows:
            values = (f"{value:.4f}" for value in row.scores.values())
            writer.writerow([row.file, f"{row.seconds:.3f}", *values])
