"""Speed of this checkout on this machine: a table, and `speed.csv` beside it.

    python benchmarks/speed.py

Every figure is a median of several runs. Ratios against real time (audio seconds per second), so
that they can be compared between machines of a kind; quote the machine with them.
"""

import csv
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import torch
from torch import nn

from timbrel.contracts import Batch, Latent
from timbrel.models.posteriors import sample
from timbrel.randomness import torch_generator
from timbrel.stages import parts
from timbrel.stages.app import compose

ARCHITECTURES = ("spectral", "spectral_small")
DECODED_S = 10.0
HERE = Path(__file__).parent


def median_s(action: Callable[[], object], runs: int) -> float:
    """Median wall time of `action` after one warm-up."""
    action()
    durations = []
    for _ in range(runs):
        start_s = time.perf_counter()
        action()
        durations.append(time.perf_counter() - start_s)
    return statistics.median(durations)


def command_s(*arguments: str) -> float:
    """Median wall time of a `timbrel` command as a whole process."""
    command = [str(Path(sys.executable).with_name("timbrel")), *arguments]
    return median_s(lambda: subprocess.run(command, check=True, capture_output=True), 5)


def training_step(architecture: str) -> Callable[[], None]:
    """A full optimizer step of the default configuration at batch 8 x 65,536 samples."""
    config = compose("train", [f"architecture={architecture}", "data=demo"])
    model, mix = parts.build_model(config), parts.build_mix(config)
    reconstruction, penalty = parts.build_reconstruction(config), parts.build_penalty(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    audio = 0.1 * torch.randn(8, 1, 65_536, generator=torch.Generator().manual_seed(0))
    index = torch.zeros(8, dtype=torch.int64)
    batch = Batch(audio, audio, index, index)

    def step() -> None:
        rng = torch_generator(0, 0, "posterior")
        posterior = model.encode(batch.input)
        latent = sample(posterior, rng)
        terms = {
            **reconstruction(model.decode(latent), batch.target),
            **penalty(posterior, latent, batch, 0, rng),
        }
        optimizer.zero_grad()
        mix(terms, 0).total.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return step


def decoding(architecture: str) -> Callable[[], object]:
    """Decoding of 10 s at batch 1."""
    model = parts.build_model(compose("train", [f"architecture={architecture}", "data=demo"]))
    frames = round(DECODED_S * model.latent_values_per_second / model.latent_dim)
    latent = Latent(torch.randn(1, model.latent_dim, frames), torch.zeros(1, model.clip_dim))

    @torch.inference_mode()
    def decode() -> object:
        return model.eval().decode(latent)

    return decode


def main() -> None:
    """Measure, print, write."""
    rows = [
        ("timbrel --help", command_s("--help"), "s"),
        ("timbrel train --cfg job", command_s("train", "data=demo", "--cfg", "job"), "s"),
    ]
    audio_s = 8 * 65_536 / 48_000
    for name in ARCHITECTURES:
        rows.append((f"{name}: training", audio_s / median_s(training_step(name), 9), "audio-s/s"))
        rows.append((f"{name}: decoding", DECODED_S / median_s(decoding(name), 9), "x real time"))
    rows.append(("resident memory", psutil.Process().memory_info().rss / 2**20, "MiB"))
    for what, value, unit in rows:
        print(f"{what:<28} {value:10.2f} {unit}")
    with (HERE / "speed.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("what", "median", "unit"), *rows])


if __name__ == "__main__":
    main()
