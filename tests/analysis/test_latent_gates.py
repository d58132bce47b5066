"""Gates on the code: exact numbers of codes made by hand and of modules without weights."""

import csv
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.presets import build, transparent
from signals import noise
from timbrel.analysis import latent_gates
from timbrel.analysis.evaluation import reconstruct
from timbrel.analysis.latent_gates import CodeUse, measure_code
from timbrel.contracts import Latent
from timbrel.runs.selection import HeldOutLoss


class _Clip:
    def __init__(self, audio: np.ndarray) -> None:
        self.audio = audio

    def samples(self) -> np.ndarray:
        return self.audio


def segments(*lengths_s: float) -> list[_Clip]:
    """Mono noise of these lengths, each other than the rest."""
    return [_Clip(noise(length, seed=i)[None] * (1 + i)) for i, length in enumerate(lengths_s)]


class _Deaf(nn.Module):
    hop_samples = 4
    context_frames = 0

    def forward(self, latent: Latent) -> Tensor:
        return torch.arange(latent.frames.shape[2] * 4).mul(0.1).sin()[None, None]


def weightless(decoder: nn.Module | None = None):
    model = transparent(1)
    model.unused = nn.Parameter(torch.zeros(1))
    if decoder is not None:
        model.decoder = decoder
    return model


def test_a_perfect_decoder_listens_and_a_deaf_one_does_not() -> None:
    files = segments(0.3, 0.5, 4.5)
    perfect = measure_code(weightless(), files)
    deaf = measure_code(weightless(_Deaf()), files)
    assert perfect.decode_change == pytest.approx(1.0, abs=1e-6)
    assert deaf.decode_change == 0.0
    assert latent_gates.decoder_listens(perfect, 0.1).passed is True
    failed = latent_gates.decoder_listens(deaf, 0.1)
    assert failed.passed is False
    assert "latent=free_bits or latent=target_kl" in failed.meaning
    assert perfect.dimensions == ("frame 0", "frame 1", "frame 2", "frame 3")
    assert np.isnan(perfect.nats_per_frame).all()  # a point has no rate


class _ClipAlone(nn.Module):
    """Noise as loud as the clip code says, whatever the frames are."""

    hop_samples = 4
    context_frames = 0

    def forward(self, latent: Latent) -> Tensor:
        made = torch.from_numpy(noise(latent.frames.shape[2] * 4 / 48_000, seed=9))[None, None]
        return made * latent.clip[:, :1, None].mul(100).exp()


def test_a_decoder_of_the_clip_code_alone_listens_to_that_and_a_deaf_one_does_not() -> None:
    def used(decoder: nn.Module | None) -> CodeUse:
        model = build("spectral_small", clip_dim=2).requires_grad_(False)
        model.decoder = decoder or model.decoder
        return measure_code(model, segments(0.5, 0.5))

    alone, deaf = used(_ClipAlone()), used(_Deaf())
    assert alone.clip_change == pytest.approx(alone.decode_change, rel=1e-6)
    assert alone.clip_change > 0.01
    assert deaf.clip_change == 0.0
    assert latent_gates.clip_listens(alone, 0.01).passed is True
    assert latent_gates.clip_listens(deaf, 0.01).passed is False
    without = latent_gates.clip_listens(measure_code(weightless(), segments(0.3, 0.5)), 0.1)
    assert without.passed is None
    assert "architecture.clip_dim=0" in without.meaning


def test_dimensions_sum_to_the_rate_of_evaluation() -> None:
    """That of whole files, which kl_floor checks."""
    model = build("spectral_small", clip_dim=2).requires_grad_(False)
    files = segments(0.25, 0.5)
    code = measure_code(model, files)
    frames = sum(math.ceil(clip.audio.shape[1] / model.hop_samples) for clip in files)
    nats = sum(reconstruct(model, clip.audio).nats for clip in files)
    assert code.nats_per_frame.sum() == pytest.approx(nats / frames, rel=1e-4)
    assert code.dimensions[-2:] == ("clip 0", "clip 1")
    means = torch.cat([model.encode(torch.from_numpy(c.audio)[None]).mean.clip for c in files])
    assert code.variance[-2:] == pytest.approx(means.numpy().var(0), rel=1e-3, abs=1e-9)


def test_one_recording_has_no_neighbour() -> None:
    assert (
        latent_gates.decoder_listens(measure_code(weightless(), segments(0.2)), 0.1).passed is None
    )
    nothing = measure_code(weightless(), [])
    assert latent_gates.active_units(nothing, 1).passed is None
    assert latent_gates.decoder_listens(nothing, 0.1).passed is None


def code_of(*variance: float) -> CodeUse:
    names = tuple(f"frame {n}" for n in range(len(variance)))
    return CodeUse(names, np.full(len(variance), 0.5), np.array(variance), 1.0)


def test_active_units_are_counted_and_told_with_the_nats_of_each() -> None:
    code = replace(code_of(1.0, 0.02, 0.001), nats_per_frame=np.array([3.25, 0.5, 0.001]))
    passed = latent_gates.active_units(code, 2)
    assert passed.passed is True
    assert "(0.001 to 3.2 nats per frame in each; latent.csv has all)" in passed.meaning
    assert "0.001 to 3.2 nats" in latent_gates.active_units(code, 3).meaning
    point = replace(code, nats_per_frame=np.full(3, math.nan))
    assert "nats" not in latent_gates.active_units(point, 2).meaning
    failed = latent_gates.active_units(code_of(1.0, 0.009, 0.001), 2)
    assert (failed.value, failed.limit, failed.passed) == (1.0, 2, False)


def test_the_gap_is_that_of_the_weights_that_were_kept() -> None:
    losses = [(10, 3.0), (20, 2.0), (30, 2.5)]
    gaps = [(10, 0.1), (20, 0.4), (30, 0.9)]
    gate = latent_gates.generalisation_gap(gaps, HeldOutLoss(losses), 0.5)
    assert (gate.value, gate.passed) == (0.4, True)
    failed = latent_gates.generalisation_gap(gaps, HeldOutLoss(losses), 0.3)
    assert failed.passed is False
    assert "step 20" in failed.meaning
    assert latent_gates.generalisation_gap([], HeldOutLoss(losses), 0.5).passed is None
    assert latent_gates.generalisation_gap([], HeldOutLoss(), 0.5).passed is None


def test_the_table(tmp_path: Path) -> None:
    latent_gates.write_latent(tmp_path / "latent.csv", code_of(1.0, 0.001, math.nan))
    with (tmp_path / "latent.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0] == {
        "dimension": "frame 0",
        "nats_per_frame": "0.5",
        "variance": "1",
        "active": "yes",
    }
    assert [row["active"] for row in rows] == ["yes", "no", "no"]
    assert rows[2]["variance"] == ""
