"""Cost and gain of rendering ahead: estimated and measured seconds, then examples per second.

    python benchmarks/expansion.py data.root=FOLDER [more overrides of timbrel train]

Renders `augmentation=strong augmentation.expansion=20` into an empty folder, compares the time with
the estimate, and reads batches of 8 x 65,536 samples in this process and with a worker per core.
Nothing is trained. For a small set the estimate comes near the end of rendering and proves nothing.
"""

import re
import statistics
import sys
import tempfile
import time
from pathlib import Path

from timbrel.data.ahead.expansion import expand, plan
from timbrel.data.chunks.loaders import train_loader
from timbrel.data.worker_process import available_cores
from timbrel.stages import parts
from timbrel.stages.composing import compose
from timbrel.stages.recordings import recordings

BATCHES, ROUNDS, BATCH = 25, 5, 8


def main() -> None:
    """Print the figures."""
    strong = ["augmentation=strong", "augmentation.expansion=20"]
    config = compose("train", [*strong, *sys.argv[1:]])
    found = recordings(config.data, seed=config.seed, guard_samples=65_536)
    augment = parts.build_augmentation(config)
    with tempfile.TemporaryDirectory() as folder:
        expansion = plan(
            found.split.train,
            augment.ahead,
            count=augment.expansion,
            seed=config.seed,
            folder=Path(folder),
        )
        lines: list[tuple[float, str]] = []
        started_s = time.monotonic()
        expand(expansion, lambda line: lines.append((time.monotonic() - started_s, line)))
        spent_s = time.monotonic() - started_s
        after_s, line = lines[0]
        print(line)
        told = re.search(r"about ([\d.]+) (s|min)$", line)
        told_s = float(told[1]) * (60 if told[2] == "min" else 1) if told else float("nan")
        ratio = spent_s / told_s if told_s else float("nan")
        print(f"rendered in {spent_s:.1f} s: {ratio:.2f} of the estimate after {after_s:.1f} s")
        for workers in (0, available_cores()):
            batches = iter(
                train_loader(
                    found.split.train,
                    seed=0,
                    batch_size=BATCH,
                    chunk_samples=65_536,
                    short=str(config.data.short),
                    augmentation=augment,
                    variants=expansion.variants(),
                    workers=workers,
                )
            )
            for _ in range(8):  # the workers have started, and what they read ahead is used up
                next(batches)
            rates = []
            for _ in range(ROUNDS):
                started_s = time.monotonic()
                for _ in range(BATCHES):
                    next(batches)
                rates.append(BATCHES * BATCH / (time.monotonic() - started_s))
            print(f"{workers} workers: {statistics.median(rates):.0f} examples/s")


if __name__ == "__main__":
    main()
