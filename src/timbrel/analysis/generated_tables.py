"""`generated.csv` and `generated_clips.csv`: scores of generated sounds as tables."""

import math
from pathlib import Path

import numpy as np

from timbrel.analysis.evaluation import write_csv
from timbrel.analysis.generated_sounds import GeneratedSounds
from timbrel.analysis.time_measures import TimeMeasures
from timbrel.metrics.time_structure import DESCRIPTORS


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
        ("nearest_training_least_db", min(distances), n, of_all),
        ("nearest_training_median_db", float(np.median(distances)), n, of_all),
    ]
    if len(held_out):
        median = float(np.median(held_out))
        rows.append(("nearest_training_median_db_held_out", median, len(held_out), of_all))
        rows.append(("copies", sounds.copies, n, of_all))
    if smooth:
        rows.append(("smoothness", float(np.median(smooth)), len(smooth), len(smooth)))
    rows += _in_time(sounds.in_time)
    embeddings = [sets.embedding] * of_sets + ["log_mel"] * (len(rows) - of_sets)
    write_csv(
        folder / "generated.csv",
        ["measure", "value", "n", "n_reference", "embedding"],
        ([*row, embedding] for row, embedding in zip(rows, embeddings, strict=True)),
    )
    names = [descriptor.name for descriptor in DESCRIPTORS]
    write_csv(
        folder / "generated_clips.csv",
        ["seed", "training_file", "training_start_s", "distance_db", "made_of", *names],
        (
            [
                *(c.seed, c.training_file, c.training_start_s, c.distance_db, c.made_of),
                *(c.descriptors or [math.nan] * len(names)),
            ]
            for c in sounds.clips
        ),
    )


def _in_time(time: TimeMeasures | None) -> list[tuple[str, float, int, int]]:
    """Every measure, or what it compares, and what its gate's value reaches by chance."""
    if time is None:
        return []
    found = {
        "time_structure": (time.time_structure, "time_structure"),
        "two_sample": (time.two_sample, "two_sample"),
        "endings": (time.endings, "endings"),
        "rebound": (time.rebound, "rebound"),
        "coherence": (time.coherence, "within_share"),
        "diversity": (time.diversity, "vendi"),
    }
    rows = []
    for gate, (measure, name) in found.items():
        if measure is None:
            continue
        of_each = math.isfinite(measure.generated)
        value = measure.generated if of_each else measure.value
        n, n_reference = time.n_generated, time.n_reference
        rows.append((name, value, n, n_reference))
        if of_each:
            rows.append((f"{name}_reconstructed", measure.reference, n_reference, n_reference))
        rows.append((f"{gate}_by_chance", measure.null, n_reference, n_reference))
    return rows
