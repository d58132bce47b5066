"""`generated.csv` and `generated_clips.csv`: scores of generated sounds as tables."""

import math
from pathlib import Path

import numpy as np

from timbrel.analysis.evaluation import write_csv
from timbrel.analysis.generated_sounds import GeneratedSounds


def write_generated(folder: Path, sounds: GeneratedSounds | None) -> None:
    """`generated.csv`, a row per measure, and `generated_clips.csv`, a row per clip."""
    if sounds is None:
        return
    n, of_all = len(sounds.clips), sounds.n_training
    held_out, distances = sounds.held_out_distance_db, [c.distance_db for c in sounds.clips]
    smooth = [value for value in sounds.smoothness if math.isfinite(value)]
    support = sounds.support
    rows: list[tuple[str, float, int, int]] = []
    sets = sounds.distances
    for name, distance in (
        ("kad", sets.kad),
        ("kad_held_out", sets.kad_held_out),
        ("frechet", sets.frechet),
        ("frechet_held_out", sets.frechet_held_out),
    ):
        if distance is not None:
            rows.append((name, distance.value, distance.n_generated, distance.n_reference))
    of_sets = len(rows)
    if support is not None:
        rows += [
            ("coverage", support.coverage, n, support.n_reference),
            ("coverage_expected", support.expected_coverage, n, support.n_reference),
            ("density", support.density, n, support.n_reference),
        ]
    rows += [
        ("vendi", sounds.vendi, sounds.n_vendi, sounds.n_vendi),
        ("vendi_training", sounds.vendi_training, sounds.n_vendi, sounds.n_vendi),
        ("nearest_training_least_db", min(distances), n, of_all),
        ("nearest_training_median_db", float(np.median(distances)), n, of_all),
    ]
    if len(held_out):
        median = float(np.median(held_out))
        rows.append(("nearest_training_median_db_held_out", median, len(held_out), of_all))
    if smooth:
        rows.append(("smoothness", float(np.median(smooth)), len(smooth), len(smooth)))
    embeddings = [sets.embedding] * of_sets + ["log_mel"] * (len(rows) - of_sets)
    write_csv(
        folder / "generated.csv",
        ["measure", "value", "n", "n_reference", "embedding"],
        ([*row, embedding] for row, embedding in zip(rows, embeddings, strict=True)),
    )
    write_csv(
        folder / "generated_clips.csv",
        ["seed", "training_file", "training_start_s", "distance_db"],
        ([c.seed, c.training_file, c.training_start_s, c.distance_db] for c in sounds.clips),
    )
