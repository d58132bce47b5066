"""Synthetic run folders and bundles: what the catalogue and the pages read, without a training."""

import csv
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import yaml

from timbrel.audio.export import clear_peak_time

RATE_HZ = 48_000

CONFIG: dict[str, Any] = {
    "seed": 0,
    "name": "kicks_spectral_vae",
    "data": {"kind": "folder", "name": "kicks", "root": "/sounds/kicks"},
    "architecture": {
        "latent_dim": 32,
        "encoder": {"_target_": "timbrel.models.encoders.SpectralEncoder", "width": 256},
        "decoder": {"_target_": "timbrel.models.decoders.SpectralDecoder", "latent_dim": 32},
    },
    "latent": {"weights": {"kl": 1.0}},
    "augmentation": {
        "transforms": {"gain": {"_target_": "timbrel.data.augmentation.Gain", "min_db": -12}}
    },
    "loss": {"weights": {"waveform": 0.5}},
    "trainer": {"max_time": "8m", "max_steps": None},
    "logger": {"kind": "none"},
}


def write_run(
    folder: Path,
    *,
    changes: Mapping[str, Any] | None = None,
    overrides: tuple[str, ...] = ("data.root=/sounds/kicks",),
    finished: bool = True,
    data_hash: str = "aa" * 16,
    mrstft: float | None = None,
    steps: int = 100,
) -> Path:
    """A run folder; `changes` maps dotted keys to values; `mrstft` adds its mean to the card."""
    folder.mkdir(parents=True)
    config = json.loads(json.dumps(CONFIG))
    for key, value in (changes or {}).items():
        node = config
        *path, last = key.split(".")
        for part in path:
            node = node.setdefault(part, {})
        node[last] = value
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "overrides.yaml").write_text(yaml.safe_dump(list(overrides)))
    versions = {"timbrel": "0.1.0", "auraloss": "0.4.0"}
    chosen = dict(text.split("=", 1) for text in overrides)
    choices = {"architecture": "spectral", "latent": "vae"}
    record = {
        "seed": config["seed"],
        "data_hash": data_hash,
        "versions": versions,
        "choices": {group: chosen.get(group, name) for group, name in choices.items()},
    }
    (folder / "run.json").write_text(json.dumps(record))
    with (folder / "metrics.csv").open("w") as file:
        file.write("step,name,value\n")
        for step in range(10, steps + 1, 10):
            file.write(f"{step},train/loss,{10 / step}\n{step},validation/loss,{12 / step}\n")
            file.write(f"{step},train/elapsed_s,{step * 0.5}\n")
    if finished:
        metrics = {} if mrstft is None else {"test_mrstft": mrstft, "test_log_mel_l1": mrstft / 2}
        write_bundle(folder / "model", name=config["name"], metrics=metrics)
    return folder


def write_bundle(
    folder: Path, *, name: str = "kicks_spectral_vae", metrics: Mapping[str, float] | None = None
) -> Path:
    """A bundle's card, config and the header of its weights (3 x 5 numbers and one)."""
    folder.mkdir(parents=True)
    card = {
        "name": name,
        "trained_on": {"names": ["kicks"], "files": 12, "duration_s": 20.5},
        "data_hash": "aa" * 16,
        "metrics": dict(metrics or {}),
        "parent": None,
        "seed": 0,
        "timbrel_version": "0.1.0",
    }
    (folder / "card.json").write_text(json.dumps(card))
    (folder / "config.yaml").write_text("_target_: timbrel.models.autoencoder.Autoencoder\n")
    tensor = {"dtype": "F32", "data_offsets": [0, 0]}
    shapes = {"a": {**tensor, "shape": [3, 5]}, "b": {**tensor, "shape": []}, "__metadata__": {}}
    header = json.dumps(shapes).encode()
    (folder / "weights.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    return folder


def write_analysis(
    folder: Path, sliders: Mapping[str, float | None], code: Mapping[str, float]
) -> None:
    """`analysis/` with the SDOT of each slider and the scores of the code.

    A slider of None is not held, though it scored 0.5.
    """
    analysis = folder / "analysis"
    analysis.mkdir()
    parts = ("sdot", "purity", "monotonicity", "range", "smoothness", "leak")
    lines = [",".join(["axis", "verdict", *parts]), "level,dsp,,,,,,"]
    for axis, sdot in sliders.items():
        verdict, score = ("not held", 0.5) if sdot is None else ("ok", sdot)
        lines.append(",".join([axis, verdict, *(str(score) for _ in parts)]))
    (analysis / "sliders.csv").write_text("\n".join(lines) + "\n")
    lines = ["metric,value", *(f"{name},{value}" for name, value in code.items())]
    (analysis / "disentanglement.csv").write_text("\n".join(lines) + "\n")


def write_evaluation(
    folder: Path,
    means: Mapping[str, tuple[float, float, float]],
    *,
    files: tuple[str, ...] = ("kick.wav", "sub/kick.wav"),
    audio: bool = False,
    noise: float = 0.0,
) -> None:
    """`evaluation/` with one mean and interval per metric, the same score for every file.

    With `audio` the originals are sines, the same in every run, and their copies have `noise`.
    """
    evaluation = folder / "evaluation"
    evaluation.mkdir()
    silence = {"mrstft": 4.3, "log_mel_l1": 4.9, "si_sdr_db": -60, "loudness_error_lu": 30}
    columns = list(dict.fromkeys([*silence, *means]))
    with (evaluation / "files.csv").open("w", newline="", errors="surrogateescape") as file:
        writer = csv.writer(file)
        writer.writerow(["part", "file", "system", "seconds", *columns, "nats_per_second"])
        for name in files:
            values = [means.get(column, (1.0, 0.9, 1.1))[0] for column in columns]
            writer.writerow(["test", name, "model", 0.25, *values, 100.0])
            controls = [silence.get(column, 1.0) for column in columns]
            writer.writerow(["test", name, "silence", 0.25, *controls, ""])
    with (evaluation / "summary.csv").open("w", newline="", errors="surrogateescape") as file:
        writer = csv.writer(file)
        writer.writerow(["part", "system", "metric", "mean", "low", "high", "files"])
        for metric, (mean, low, high) in means.items():
            writer.writerow(["test", "model", metric, mean, low, high, len(files)])
            writer.writerow(["test", "silence", metric, 4.3, 4.2, 4.4, len(files)])
    (evaluation / "gates.csv").write_text(
        "gate,value,limit,passed,meaning\n"
        "kl_floor,2.0,0.5,yes,the code is used\n"
        "held_out_ratio,1.2,1.05,no,overfitting; train for fewer steps\n"
    )
    if not audio:
        return
    rng = np.random.default_rng(0)
    for number, name in enumerate(files):
        time_s = np.arange(RATE_HZ // 4) / RATE_HZ
        original = 0.5 * np.sin(2 * np.pi * 220 * (number + 1) * time_s).astype(np.float32)
        copy = original + noise * rng.standard_normal(len(original)).astype(np.float32)
        for kind, samples in (("reference", original), ("reconstruction", copy)):
            path = evaluation / "audio" / "test" / kind / f"{number:03d}_{Path(name).stem[:9]}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("w+b") as file:  # soundfile opens no name that is not UTF-8
                soundfile.write(file, samples, RATE_HZ, format="WAV", subtype="FLOAT")
                clear_peak_time(file)  # the same audio is the same file, whenever it is written
