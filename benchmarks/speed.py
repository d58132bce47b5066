"""Speed of this checkout on this machine: a table, and `speed.csv` beside it.

    python benchmarks/speed.py
    python benchmarks/speed.py --only pqmf           # figures whose name contains "pqmf"
    python benchmarks/speed.py --only ing: --device cuda   # training and decoding on a GPU

Every figure is a median of several runs after a warm-up, with the least and the largest beside it,
measured in a process of its own: the memory told is the peak of that process alone (or of the
largest it started), imports included. Throughput is told as a multiple of real time or in audio
seconds per second; quote the machine with it. Audio files are read from the operating system's
cache of files, also where a figure is called cold. `--device cuda` moves training (in bf16 where
the GPU multiplies it) and decoding to the GPU, whose allocator then tells the memory.
"""

import argparse
import csv
import itertools
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
COLUMNS = ("figure", "median", "low", "high", "unit", "peak_mib")
RATE_HZ = 48_000
BATCH, CHUNK_SAMPLES = 8, 65_536
BATCH_S = BATCH * CHUNK_SAMPLES / RATE_HZ
DECODED_S = 10.0
DEMO_FILES = 24
BANDS = 16


@dataclass(frozen=True)
class Figure:
    """What is measured, in which unit, and how: `measure` gives one value per run."""

    name: str
    unit: str
    measure: Callable[[], list[float]]


def figures(device: str = "cpu") -> list[Figure]:
    """All figures, in the order of the table. Imports nothing heavy."""
    from timbrel.config.options import options

    listed = [
        Figure("start: timbrel --help", "s", lambda: command_s("--help")),
        Figure("start: --cfg job", "s", lambda: command_s("train", "data=demo", "--cfg", "job")),
        Figure("catalog: cold", "files/s", lambda: catalog_files_per_s(warm=False)),
        Figure("catalog: warm", "files/s", lambda: catalog_files_per_s(warm=True)),
        Figure("cache: decode", "x real time", decode_speed),
        *(
            Figure(
                f"chunks: augmentation={name}", "examples/s", lambda name=name: examples_per_s(name)
            )
            for name in options()["augmentation"]
        ),
        Figure("pqmf: analysis", "x real time", lambda: pqmf_speed("analysis")),
        Figure("pqmf: synthesis", "x real time", lambda: pqmf_speed("synthesis")),
        Figure("pqmf: round trip and gradient", "x real time", lambda: pqmf_speed("gradient")),
        Figure("pqmf: round trip", "dB SNR", pqmf_snr_db),
    ]
    names = options()["architecture"]
    for name in names:
        training = partial(train_speed, name, device)
        listed.append(Figure(f"training: {name}", "audio-s/s", training))
    for name in names:
        decoding = partial(decoding_speed, name, device)
        listed.append(Figure(f"decoding: {name}", "x real time", decoding))
    return listed


def cuda() -> Any:
    """`torch.cuda` where this process computes on a GPU, else None. Imports nothing."""
    torch = sys.modules.get("torch")
    return torch.cuda if torch is not None and torch.cuda.is_initialized() else None


def durations_s(action: Callable[[], object], runs: int) -> list[float]:
    """Wall times of `action` after one warm-up; on a GPU, until it has done what it was told."""
    times = []
    for _ in range(1 + runs):
        start_s = time.perf_counter()
        action()
        if gpu := cuda():
            gpu.synchronize()
        times.append(time.perf_counter() - start_s)
    return times[1:]


def per_s(amount: float, times_s: list[float]) -> list[float]:
    """`amount` per second, for every duration."""
    return [amount / duration for duration in times_s]


def command_s(*arguments: str) -> list[float]:
    """Wall times of a `timbrel` command as a whole process."""
    command = [str(Path(sys.executable).with_name("timbrel")), *arguments]
    return durations_s(lambda: subprocess.run(command, check=True, capture_output=True), 5)


def demo_folder() -> Path:
    """The built-in set, rendered into the user's cache where it is not there yet."""
    from timbrel.data.demo.demo_set import ensure_demo_set

    return ensure_demo_set(files=DEMO_FILES, sample_rate_hz=RATE_HZ, cache_dir=None)


def catalog_files_per_s(*, warm: bool) -> list[float]:
    """Files catalogued per second: all decoded, or all known from a scan before."""
    from timbrel.data.scan.catalog import scan

    root = demo_folder()
    with tempfile.TemporaryDirectory() as memory:
        known = Path(memory) if warm else None
        return per_s(DEMO_FILES, durations_s(lambda: scan(root, memory=known), 3))


def decode_speed() -> list[float]:
    """Audio decoded into an empty cache, by this process alone."""
    from timbrel.data.cache.store import Cache
    from timbrel.data.scan.catalog import scan

    catalog = scan(demo_folder())
    audio_s = 0.0

    def decode() -> None:
        nonlocal audio_s
        with tempfile.TemporaryDirectory() as folder:
            clips = Cache(folder).ensure(catalog, sample_rate_hz=RATE_HZ)
            audio_s = sum(clip.duration_s for clip in clips)

    times = durations_s(decode, 5)
    return per_s(audio_s, times)


def examples_per_s(augmentation: str) -> list[float]:
    """Training examples of 65,536 samples per second, loaded by the training process itself."""
    from timbrel.data.cache.store import Cache
    from timbrel.data.chunks.loaders import train_loader
    from timbrel.data.scan.catalog import scan
    from timbrel.data.split.parts import Segment
    from timbrel.stages import parts
    from timbrel.stages.composing import compose

    config = compose("train", ["data=demo", f"augmentation={augmentation}"])
    with tempfile.TemporaryDirectory() as folder:
        clips = Cache(folder).ensure(scan(demo_folder()), sample_rate_hz=RATE_HZ)
        loader = train_loader(
            [Segment(clip, 0, clip.n_samples) for clip in clips],
            seed=0,
            batch_size=BATCH,
            chunk_samples=CHUNK_SAMPLES,
            short=str(config.data.short),
            augmentation=parts.build_augmentation(config),
        )
        batches = iter(loader)
        times = durations_s(lambda: list(itertools.islice(batches, 4)), 7)
    return per_s(4 * BATCH, times)


def _noise(*shape: int) -> Any:
    import torch

    return 0.1 * torch.randn(shape, generator=torch.Generator().manual_seed(0))


def pqmf_speed(direction: str) -> list[float]:
    """The filterbank alone, at 8 x 65,536 samples and 16 bands."""
    import torch

    from timbrel.dsp.pqmf import Pqmf

    bank, audio = Pqmf(bands=BANDS), _noise(BATCH, 1, CHUNK_SAMPLES)
    split = bank.analyse(audio).contiguous()  # as a network would hand it over

    def gradient() -> None:
        leaf = audio.requires_grad_(True)
        bank.synthesise(bank.analyse(leaf)).backward(audio.detach())

    def forward() -> None:
        with torch.inference_mode():
            _ = bank.analyse(audio) if direction == "analysis" else bank.synthesise(split)

    return per_s(BATCH_S, durations_s(gradient if direction == "gradient" else forward, 25))


def pqmf_snr_db() -> list[float]:
    """Level of noise over the round trip's error, away from the edges."""
    from timbrel.dsp.pqmf import Pqmf

    bank, audio = Pqmf(bands=BANDS), _noise(1, 1, CHUNK_SAMPLES)
    inner = slice(bank.context_samples, -bank.context_samples)
    error = (bank.synthesise(bank.analyse(audio)) - audio)[..., inner].double()
    clean = audio[..., inner].double()
    return [10 * math.log10(float(clean.square().sum() / error.square().sum()))]


def _tracks(names: tuple[str, ...], *shape: int) -> Any:
    """Steady tracks of a voiced sound, as far as a decoder asks for them."""
    import torch

    from timbrel.contracts import Conditions

    values = {
        "f0_hz": 220.0,
        "confidence": 1.0,
        "loudness_db": -30.0,
        "centroid_hz": 1000.0,
        "hnr_db": 10.0,
    }
    return Conditions(**{name: torch.full(shape, values[name]) for name in names})


def train_speed(architecture: str, device: str) -> list[float]:
    """A full optimizer step of the default configuration at batch 8 x 65,536 samples."""
    import torch
    from torch import nn

    from timbrel.contracts import Batch
    from timbrel.randomness import torch_generator
    from timbrel.stages import parts
    from timbrel.stages.composing import compose
    from timbrel.stages.training_parts import chosen_compute
    from timbrel.training.module import forward_pass, loss_terms

    precision = "fp32" if device == "cpu" else "auto"
    chosen = [f"architecture={architecture}", f"device={device}", f"device.precision={precision}"]
    config = compose("train", ["data=demo", *chosen])
    compute = chosen_compute(config)
    where = compute.torch_device
    model, mix = parts.build_model(config).to(where), parts.build_mix(config)
    reconstruction = parts.build_reconstruction(config).to(where)
    penalty = parts.build_penalty(config).to(where)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    audio, index = _noise(BATCH, 1, CHUNK_SAMPLES), torch.zeros(BATCH, dtype=torch.int64)
    tracks = _tracks(model.conditions, BATCH, CHUNK_SAMPLES // model.hop_samples)
    batch = Batch(audio, audio, index, index, tracks).to(where)

    def step() -> None:
        rng = torch_generator(0, 0, "posterior", device=where)
        forward = forward_pass(model, batch, rng, compute.autocast)
        terms = loss_terms(model, reconstruction, penalty, forward, batch, 0, rng)
        optimizer.zero_grad()
        mix(terms, 0).total.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return per_s(BATCH_S, durations_s(step, 5))


def decoding_speed(architecture: str, device: str) -> list[float]:
    """Decoding of 10 s at batch 1."""
    import torch

    from timbrel.contracts import Latent
    from timbrel.stages import parts
    from timbrel.stages.composing import compose
    from timbrel.training.compute import rendering_compute

    chosen = [f"architecture={architecture}", f"device={device}"]
    config = compose("train", ["data=demo", *chosen])
    where = rendering_compute(config.device).torch_device
    model = parts.build_model(config).eval().to(where)
    frames = round(DECODED_S * RATE_HZ / model.hop_samples)
    tracks = _tracks(model.conditions, 1, frames)
    latent = Latent(_noise(1, model.latent_dim, frames), _noise(1, model.clip_dim), tracks)
    latent = latent.map(lambda values: values.to(where))

    def decode() -> None:
        with torch.inference_mode():
            model.decode(latent)

    return per_s(DECODED_S, durations_s(decode, 7))


def peak_mib() -> float:
    """The largest resident memory of this process or of one that it has waited for.

    Where it computes on a GPU, the most that its tensors took there.
    """
    if gpu := cuda():
        return gpu.max_memory_allocated() / 2**20
    largest = max(
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return largest / (2**20 if sys.platform == "darwin" else 2**10)


def row(figure: Figure) -> dict[str, Any]:
    """The figure measured here and now, as a line of the table."""
    values = figure.measure()
    return {
        "figure": figure.name,
        "median": statistics.median(values),
        "low": min(values),
        "high": max(values),
        "unit": figure.unit,
        "peak_mib": peak_mib(),
    }


def measured_apart(names: list[str], device: str) -> Iterator[dict[str, Any]]:
    """Each figure from a process of its own; one that fails is told on stderr and left out."""
    environment = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ}
    for name in names:
        command = [sys.executable, __file__, "--device", device, "--measure", name]
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        if done.returncode:
            last = done.stderr.strip().splitlines()[-1:] or ["no message"]
            print(f"{name}: failed: {last[0]}", file=sys.stderr)
            continue
        yield json.loads(done.stdout.splitlines()[-1])


def main() -> int:
    """Measure, print, write; 1 where a figure failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", metavar="TEXT", help="figures whose name contains this")
    parser.add_argument("--out", type=Path, help="CSV to write (all figures: speed.csv beside me)")
    parser.add_argument(
        "--device", choices=("cpu", "cuda"), default="cpu", help="of training and decoding"
    )
    parser.add_argument("--list", action="store_true", help="name the figures and end")
    parser.add_argument("--measure", metavar="NAME", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.out and arguments.out.is_dir():
        parser.error(f"--out {arguments.out}: a folder; name a file")
    known = figures(arguments.device)
    if arguments.measure:
        (figure,) = (figure for figure in known if figure.name == arguments.measure)
        print(json.dumps(row(figure)))
        return 0
    names = [figure.name for figure in known if (arguments.only or "") in figure.name]
    if arguments.list or not names:
        print("\n".join(names or [figure.name for figure in known]))
        return 0 if names else 2
    rows = []
    for found in measured_apart(names, arguments.device):
        rows.append(found)
        spread = f"{found['low']:.4g} to {found['high']:.4g}"
        print(
            f"{found['figure']:<32} {found['median']:>8.4g} {found['unit']:<12}"
            f" ({spread:<18}) {found['peak_mib']:>6.0f} MiB",
            flush=True,
        )
    out = arguments.out or (None if arguments.only else HERE / "speed.csv")
    if out is not None:
        with out.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(
                {k: round(v, 4) if isinstance(v, float) else v for k, v in found.items()}
                for found in rows
            )
    return 0 if len(rows) == len(names) else 1


if __name__ == "__main__":
    sys.exit(main())
