"""Spearman's rho of the dimensions of an attribute-regularised code with their attributes.

    python benchmarks/ordering.py outputs/RUN [--files 1000] [--seed 1]

Renders sounds of the demo set that no training has used (another seed draws other factors), encodes
them, and compares every regularised dimension with the factors that the sounds were made from.
A sound's code is the mean over the frames within 40 dB of its loudest. Noise sounds have a band
around their f0 but no pitch: "pitched" are the others. The last lines tell how f0 itself orders the
other factors: high sounds of the demo set are also bright.
"""

import argparse
import csv
import tempfile
from pathlib import Path

import numpy as np
import soundfile
import yaml
from scipy.stats import spearmanr

import timbrel
from timbrel.data.demo.demo_set import FACTORS_FILE, render_demo_set
from timbrel.library.instrument import Instrument

FACTORS = ("f0_hz", "brightness_hz", "noisiness", "decay_db_per_s", "attack_s")
ACTIVE_DB = 40.0


def codes(instrument: Instrument, files: list[Path]) -> np.ndarray:
    """One row per file: the mean frame code where it sounds, then the clip code."""
    rows = []
    for file in files:
        audio = soundfile.read(file, dtype="float32", always_2d=True)[0].T
        mono = audio.mean(0)
        latent = instrument.encode(mono if instrument.model.channels == 1 else audio)
        frames = latent.frames[0].numpy()
        hop = instrument.model.hop_samples
        padded = np.pad(mono, (0, frames.shape[1] * hop - len(mono)))
        level_db = 10 * np.log10(np.square(padded).reshape(-1, hop).mean(1) + 1e-12)
        sounding = level_db > level_db.max() - ACTIVE_DB
        rows.append(np.concatenate([frames[:, sounding].mean(1), latent.clip[0].numpy()]))
    return np.stack(rows)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1, help="of the sounds; trainings have 0")
    arguments = parser.parse_args()
    if arguments.seed == 0:
        parser.error("--seed 0: those are the sounds that trainings hear; take another")
    if not (arguments.run / "config.yaml").is_file():
        parser.error(f"{arguments.run}: no run folder of a training")
    latent = yaml.safe_load((arguments.run / "config.yaml").read_text())["latent"]
    if "frame_attributes" not in latent:
        parser.error(f"{arguments.run}: its code follows no attributes; train with latent=ar_vae")
    instrument = timbrel.load(arguments.run)
    names = [*latent["frame_attributes"], *latent["clip_attributes"]]
    first_clip = instrument.model.latent_dim
    dimensions = [
        *range(len(latent["frame_attributes"])),
        *range(first_clip, first_clip + len(latent["clip_attributes"])),
    ]
    with tempfile.TemporaryDirectory() as folder:
        made = render_demo_set(
            Path(folder) / "fresh",
            files=arguments.files,
            seed=arguments.seed,
            sample_rate_hz=instrument.sample_rate_hz,
        )
        rows = list(csv.DictReader((made / FACTORS_FILE).open()))
        found = codes(instrument, [made / row["file"] for row in rows])
    groups = {"all": np.ones(len(rows), bool)}
    for kind in sorted({row["kind"] for row in rows}):
        groups[kind] = np.array([row["kind"] == kind for row in rows])
    groups["pitched"] = groups["pluck"] | groups["strike"]
    print(f"{len(rows)} fresh sounds (seed {arguments.seed}), {arguments.run.name}")
    factors = {name: np.array([float(row[name]) for row in rows]) for name in FACTORS}
    columns = {f"dimension {d} ({n})": found[:, d] for n, d in zip(names, dimensions, strict=True)}
    columns["f0_hz itself"] = factors["f0_hz"]
    for label, column in columns.items():
        for group, members in groups.items():
            rho = {
                factor: spearmanr(column[members], values[members]).statistic
                for factor, values in factors.items()
            }
            told = "  ".join(f"{factor} {value:+.3f}" for factor, value in rho.items())
            print(f"{label}, {group} ({members.sum()}): {told}")


if __name__ == "__main__":
    main()
